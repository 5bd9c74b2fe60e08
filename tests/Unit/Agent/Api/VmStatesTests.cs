using Pollux.Agent.Api;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Agent.Api;

/// <summary>What a user reads of a protected VM when the arbiter or a host is away.</summary>
public sealed class VmStatesTests
{
    private static readonly VmName Redis = VmName.Create("redis");
    private static readonly HostId H1 = HostId.Create("h1");
    private static readonly HostId H2 = HostId.Create("h2");

    [Theory]
    [InlineData(true, true, true, "")]
    [InlineData(true, true, false, "")]
    [InlineData(true, false, true, "no arbiter: a takeover would wait")]
    [InlineData(false, false, false, "no arbiter: a takeover would wait")]
    [InlineData(false, true, true, "no arbiter answers h1: without its standby the guest would wait")]
    [InlineData(true, null, false, "no arbiter: a takeover would wait")]
    [InlineData(true, null, true, "")]
    public void Protected_WithoutArbiter_SaysWhoWouldWait(bool primaryHas, bool? standbyHas, bool agentHas, string note)
    {
        var standby = standbyHas is { } has ? Side(H2, "standby", "standby-ready", has) : new KeeperOnHost(H2, null, "h2 does not answer");

        Assert.Equal(("protected", note), VmStates.Of(View(), Side(H1, "primary", "protected", primaryHas), standby, agentHas));
    }

    [Fact]
    public void Standby_ThatWaitsToTakeOverFromASilentHost_IsToldInItsOwnWords()
    {
        var primary = new KeeperOnHost(H1, null, "h1 does not answer");

        Assert.Equal(("taking", "waits for an arbiter"), VmStates.Of(View(), primary, Side(H2, "standby", "taking", false, "waits for an arbiter"), false));
        Assert.Equal(("unknown", "h1 does not answer"), VmStates.Of(View(), primary, Side(H2, "standby", "standby-ready", false), false));
    }

    [Fact]
    public void Stopped_OnAHostThatIsOff_IsStopped()
    {
        var home = new KeeperOnHost(H1, null, "the host h1 is not alive");
        var view = View();
        var stopped = view with { Record = view.Record! with { Run = false }, Role = view.Role! with { State = RoleState.Stopped, Standby = null } };

        Assert.Equal(("stopped", "for the test"), VmStates.Of(stopped, home, null, true));
        Assert.Equal(("stopped", ""), VmStates.Of(stopped with { Role = null }, home, null, true));
        // It was told to stop, and whether it has is not known.
        Assert.Equal("unknown", VmStates.Of(view with { Record = view.Record! with { Run = false } }, home, null, true).State);
    }

    [Fact]
    public void Stopped_WhileItsQemuLives_IsStopping()
    {
        var side = new KeeperOnHost(H1, null, null, Orphaned: true);
        var shallNotRun = View() with { Record = View().Record! with { Run = false } };
        var stopped = shallNotRun with { Role = shallNotRun.Role! with { State = RoleState.Stopped } };

        foreach (var view in new[] { shallNotRun, stopped })
        {
            Assert.Equal("stopping", VmStates.Of(view, side, null, true).State);
            Assert.Equal("stopped", VmStates.Of(view, side with { Orphaned = false }, null, true).State);
        }
        Assert.Equal("starting", VmStates.Of(View(), side, null, true).State);
        Assert.Contains("no QEMU", VmStates.Of(shallNotRun, side with { StartFailure = "there is no QEMU" }, null, true).Note, StringComparison.Ordinal);
        // Its host has nothing of it any more, but its standby has.
        Assert.Equal("stopping", VmStates.Of(shallNotRun, side with { Orphaned = false }, Side(H2, "standby", "standby-ready", true), true).State);
    }

    private static VmView View() => VmView.Unknown(Redis) with
    {
        Record = new VmRecord(Redis, "", H1, Run: true, Protect: true, null),
        Role = new Role(1, RoleState.Protected, new Member(H1, Incarnation.New()), new Member(H2, Incarnation.New()), "n", "for the test"),
    };

    private static KeeperOnHost Side(HostId host, string side, string phase, bool hasArbiter, string note = "")
    {
        var none = new Percentiles(0, 0, 0);
        return new KeeperOnHost(host, new KeeperStatus(
            Redis, host, Incarnation.New(), 1, 2, side, phase, note, null, "7.2.0", "tcg", new CheckpointStatus(0, 0, 0, none, none),
            new BufferStatus(0, 0, 0, 0), new NetworkStatus(0, 0, 0, 0, 0), null, new ProtectionSettings(), hasArbiter), null);
    }
}
