using Pollux.Cluster.Keepers;
using Pollux.Keeper.Primary;

namespace Pollux.Unit.Tests.Keeper.Primary;

public sealed class CheckpointStatsTests
{
    [Fact]
    public void Status_AfterCutsAndCommits_CountsWhatIsOnItsWay()
    {
        var stats = new CheckpointStats();
        for (var epoch = 1; epoch <= 5; epoch++)
        {
            stats.Stopped(epoch * 100_000);
            stats.Cut(10 * epoch, ranMs: 100);
            stats.Resumed((epoch * 100_000) + 3_000);
        }
        stats.Committed = 3;
        var status = stats.Status();

        Assert.Equal((5, 3, (40 + 50) * 4096), (status.Count, status.Committed, status.UncommittedBytes));
        Assert.Equal((3.0, 3.0), (status.PauseMs.P50, status.PauseMs.Max));
        Assert.Equal((5, 15.0), (status.Pauses!.Counts[3], status.Pauses.SumMs)); // 2 to 5 ms
        Assert.True(status.LagMs >= 0);
    }

    [Theory]
    [InlineData(0.5, 0)]
    [InlineData(0.51, 1)]
    [InlineData(1000, 10)]
    [InlineData(1000.1, 11)]
    public void PauseHistogram_BoundsAreInclusive(double ms, int bucket) => Assert.Equal(bucket, PauseHistogram.BucketOf(ms));
}
