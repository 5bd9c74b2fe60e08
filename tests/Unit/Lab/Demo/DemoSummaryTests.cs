using Pollux.Lab.Demo;

namespace Pollux.Unit.Tests.Lab.Demo;

public sealed class DemoSummaryTests
{
    [Fact]
    public void Of_SeveralRounds_TakesSumsMediansAndTheWorst()
    {
        var summary = DemoSummary.Of([Round(10, 0, true, 200), Round(20, 1, true, 300), Round(30, 0, false, 900)]);

        Assert.Equal((60, 1, false), (summary.Client.Acknowledged, summary.Client.Lost, summary.Client.ConnectionSurvived));
        Assert.Equal(300, summary.Takeover!.KillToFirstAnswerMs);
        Assert.Equal(900, summary.Client.LongestGapMs);
        Assert.Equal(3, summary.Rounds!.Count);
        Assert.False(summary.IsGood);
    }

    [Fact]
    public void Of_OneRound_IsThatRound()
    {
        var round = Round(10, 0, true, 200);

        Assert.Same(round, DemoSummary.Of([round]));
        Assert.True(round.IsGood);
    }

    [Fact]
    public void Of_ARoundWithoutTakeover_IsNoTakeover()
    {
        var solo = Round(10, 0, true, 200) with { Outcome = "solo", Takeover = null };

        Assert.Equal("solo", DemoSummary.Of([Round(10, 0, true, 200), solo]).Outcome);
    }

    private static DemoReport Round(long acknowledged, long lost, bool survived, double firstAnswerMs) => new(
        "7.2.22", "tcg", "power-off", "adaptive", "takeover",
        new DemoCheckpoints(100, 20, new PauseSpread(1, 2, 3), new Spread(50, 90)),
        new DemoClient(acknowledged * 2, acknowledged, lost, 0, survived, new RoundTrips(new Spread(1, 2), new Spread(3, 4)), firstAnswerMs, null),
        new DemoTakeover(150, 10, 5, firstAnswerMs), null);
}
