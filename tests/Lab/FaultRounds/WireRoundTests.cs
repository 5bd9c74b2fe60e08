using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>The link between the two hosts fails, while both go on and both reach the witness: exactly one side goes on.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class WireRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    private const int LongRounds = 20;

    /// <summary>From which side to the other nothing arrives; null: neither way.</summary>
    public static TheoryData<Side?> Cuts => new() { null, Side.Primary, Side.Standby };

    [Theory]
    [MemberData(nameof(Cuts))]
    public Task Cut_UnderLoad_LeavesOneSideAndLosesNothing(Side? from) => CutAsync(from, 1);

    [Theory]
    [Trait("Suite", "long")]
    [MemberData(nameof(Cuts))]
    public async Task Cut_UnderLoadTwentyTimes_LeavesOneSideAndLosesNothing(Side? from)
    {
        for (var round = 1; round <= LongRounds; round++)
        {
            await CutAsync(from, (ulong)round);
        }
    }

    private async Task CutAsync(Side? from, ulong seed)
    {
        var what = from is null ? "cut both ways" : $"cut from the {from} only";
        var result = await lab.RoundAsync($"{what}, round {seed}", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, seed);
            var (a, b) = from == Side.Standby ? (round.Standby, round.Primary) : (round.Primary, round.Standby);

            var struck = await lab.Cluster.Wires.CutAsync(a, b, oneWay: from is not null);
            await round.AnsweredSinceAsync(struck, what);

            return await round.EndAsync(struck);
        });
        Assert.True(result.Swaps > 0, "nobody noticed the cut");
    }
}
