namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>The promises of the pair, kept in thousands of random lives. A failure names its seed and shows the last steps.</summary>
public sealed class PairWalkTests
{
    private const int WalksPerBlock = 500;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Walk_AnyFaultAtAnyMoment_KeepsEveryPromiseAndComesToRest(int block)
    {
        var (takeovers, solos, frames) = (0, 0, 0);
        for (var seed = block * WalksPerBlock; seed < (block + 1) * WalksPerBlock; seed++)
        {
            var walk = new PairWalk(seed);
            try
            {
                walk.Run(600);
                walk.ComeToRest();
            }
            catch (InvalidOperationException e)
            {
                Assert.Fail($"seed {seed}: {e.Message}");
            }
            takeovers += walk.Takeovers;
            solos += walk.Solos;
            frames += walk.FramesOutside;
        }

        // A walk in which nothing happens promises nothing.
        Assert.True(takeovers > 50 && solos > WalksPerBlock && frames > 10 * WalksPerBlock, $"{takeovers} takeovers, {solos} runs alone, {frames} frames");
    }
}
