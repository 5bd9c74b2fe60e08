using Pollux.Replication.Scrubbing;

namespace Pollux.Unit.Tests.Replication.Scrubbing;

public class ScrubPlanTests
{
    private static readonly TimeSpan Round = TimeSpan.FromSeconds(100);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(97)]
    [InlineData(1000)]
    [InlineData(49154)]
    public void Next_ARoundOfAnyRam_GivesEveryPageOnce(long pages)
    {
        var plan = new ScrubPlan(pages, Round, new Random(7));
        for (var round = 1; round <= 3; round++)
        {
            var seen = new HashSet<long>();
            for (var i = 0; i < pages; i++)
            {
                var page = plan.Next();
                Assert.InRange(page, 0, pages - 1);
                Assert.True(seen.Add(page));
            }
            Assert.Equal(round, plan.Rounds);
        }
    }

    [Fact]
    public void Due_AsTimePasses_CoversTheRamInTheRoundsTime()
    {
        var plan = new ScrubPlan(1000, Round, new Random(1));
        Assert.Equal(0, plan.Due(TimeSpan.Zero));
        for (var elapsed = TimeSpan.Zero; elapsed <= Round; elapsed += TimeSpan.FromMilliseconds(500))
        {
            for (var due = plan.Due(elapsed); due > 0; due--)
            {
                plan.Next();
            }
        }
        Assert.Equal(1000, plan.Given);
    }

    [Fact]
    public void Due_AfterALongGap_StaysWithinAPause()
    {
        var plan = new ScrubPlan(1_000_000, Round, new Random(1));
        Assert.Equal(ScrubPlan.PagesPerCutMax, plan.Due(Round));
    }
}
