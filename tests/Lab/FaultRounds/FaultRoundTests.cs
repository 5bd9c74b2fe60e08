using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>
/// Every fault that a pair must survive, on either side, under load: nothing acknowledged is lost, the client's connection lives, and
/// the switch sees one host at a time speak for the VM.
/// </summary>
[Collection(ProtectedLabTests.Name)]
public sealed class FaultRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    private const int LongRounds = 20;

    /// <summary>Fault, side struck, whether the other side has the VM afterwards.</summary>
    public static TheoryData<string, Side, bool> Faults => new()
    {
        { "power-off", Side.Primary, true },
        { "freeze", Side.Primary, true },
        { "kill-qemu", Side.Primary, true },
        { "kill-keeper", Side.Primary, true },
        { "kill-agent", Side.Primary, false },
        { "power-off", Side.Standby, false },
        { "freeze", Side.Standby, false },
        { "kill-qemu", Side.Standby, false },
        { "kill-keeper", Side.Standby, false },
        { "kill-agent", Side.Standby, false },
        { FaultRound.Planned, Side.Primary, true },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public Task Fault_UnderLoad_LosesNothing(string fault, Side side, bool takeover) => RoundAsync(fault, side, takeover, 1);

    [Theory]
    [Trait("Suite", "long")]
    [MemberData(nameof(Faults))]
    public async Task Fault_UnderLoadTwentyTimes_LosesNothing(string fault, Side side, bool takeover)
    {
        for (var round = 1; round <= LongRounds; round++)
        {
            await RoundAsync(fault, side, takeover, (ulong)round);
        }
    }

    private async Task RoundAsync(string fault, Side side, bool takeover, ulong seed)
    {
        var result = await lab.RoundAsync($"{fault} of the {side}, round {seed}", output, () => new FaultRound(lab, fault, side, seed).RunAsync());

        Assert.Equal(takeover, result.IsTakeover);
        if (fault == "kill-agent")
        {
            Assert.Equal(0, result.Swaps);
        }
    }
}
