using Pollux.Cluster.Events;
using Pollux.Keeper.Events;

namespace Pollux.Unit.Tests.Keeper;

/// <summary>What lasts is told once when it has lasted, and once when it is over.</summary>
public sealed class PatienceWatchTests
{
    private readonly PatienceWatch _watch = new();

    [Fact]
    public void Question_ThatIsDecidedAtOnce_IsNotTold()
    {
        Assert.Empty(Look(0, "a takeover"));
        Assert.Empty(Look(900, "a takeover"));
        Assert.Empty(Look(1000, null));
    }

    [Fact]
    public void Question_WithoutMajority_IsToldOnceAndItsEndToo()
    {
        Assert.Empty(Look(0, "a takeover", hasArbiter: false));
        Assert.Equal("a takeover waits until a majority of etcd answers: h1 is silent", Assert.Single(Look(1000, "a takeover", hasArbiter: false)).Text);
        Assert.Empty(Look(5000, "a takeover", hasArbiter: false));
        var over = Assert.Single(Look(7300, null));
        Assert.Equal((EventKinds.WaitedFor, 7300, "who runs it was decided after 7.3 s"), (over.Kind, over.Figures!["waitedMs"], over.Text));
    }

    [Fact]
    public void Commits_ThatDoNotCome_AreToldOnceAndTheirReturnToo()
    {
        Assert.Empty(Lag(0, 1500));
        Assert.Equal(
            "no checkpoint was committed for 2.1 s: 3 MiB are on the way and 12 frames wait; the link or the standby is slow", Assert.Single(Lag(600, 2100)).Text);
        Assert.Empty(Lag(5600, 7100));
        Assert.Empty(Lag(6600, 1500)); // not over while it hovers near the limit
        Assert.Equal("checkpoints are committed again, after 8.5 s", Assert.Single(Lag(7100, 100)).Text);
        Assert.Empty(Lag(7600, 100));
    }

    [Fact]
    public void Commits_OfLongIntervals_AreGivenTheirTime()
    {
        Assert.Empty(Lag(0, 3900, intervalMs: 1000));
        Assert.Single(Lag(200, 4100, intervalMs: 1000));
    }

    [Fact]
    public void Lag_OfAProtectionThatEnded_IsForgotten()
    {
        Assert.Single(Lag(0, 3000));
        Assert.Empty(Look(500, null));
        Assert.Empty(Lag(1000, 10));
    }

    private List<EventDraft> Look(double now, string? who, bool hasArbiter = true) =>
        [.. _watch.Look(new PatienceSample(now, who, "h1 is silent", hasArbiter, null, 0, 0, 100))];

    private List<EventDraft> Lag(double now, double lag, double intervalMs = 100) =>
        [.. _watch.Look(new PatienceSample(now, null, "", true, lag, 3 << 20, 12, intervalMs))];
}
