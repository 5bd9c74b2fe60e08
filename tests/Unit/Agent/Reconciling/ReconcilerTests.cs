using Pollux.Agent.Reconciling;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Replication.Pair;
using static Pollux.Unit.Tests.Agent.Reconciling.Scene;

namespace Pollux.Unit.Tests.Agent.Reconciling;

/// <summary>Who starts and who ends a VM's keeper.</summary>
public sealed class ReconcilerTests
{
    [Fact]
    public void Home_NoRoleYet_StartsThePrimary() =>
        Assert.Equal(new AgentAction.StartKeeper(Redis, KeeperStart.Primary, "name: redis", 0), new Scene().Decide());

    [Fact]
    public void OtherHost_NoRoleYet_DoesNothing() => Assert.Null(new Scene { Me = H2 }.Decide());

    [Fact]
    public void Home_NotWantedToRun_DoesNothing()
    {
        var scene = new Scene();
        scene.Record = scene.Record! with { Run = false };
        Assert.Null(scene.Decide());
    }

    /// <summary>Its role is of term 3.</summary>
    [Theory]
    [InlineData(true, 0, false)]
    [InlineData(true, 2, false)]
    [InlineData(true, 3, true)]
    [InlineData(false, 0, true)]
    public void Home_GuestThatShutItselfDown_StaysOffUntilTheUserStartsIt(bool byGuest, long runSince, bool starts)
    {
        var scene = new Scene { Role = RoleOf(RoleState.Stopped, H1) with { ByGuest = byGuest } };
        scene.Record = scene.Record! with { RunSince = runSince };
        Assert.Equal(starts, scene.Decide() is AgentAction.StartKeeper { Start: KeeperStart.Primary });
    }

    [Fact]
    public void Home_RoleNamesAnother_DoesNothing() => Assert.Null(new Scene { Role = RoleOf(RoleState.Running, H2) }.Decide());

    [Fact]
    public void Primary_GuestDiedProtected_IsNeverStartedByTime()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Protected, H1, H2) };
        Assert.Null(scene.DecideUntilAction(withinMs: 600_000).Action);
        Assert.Contains("h2 may hold its last commit", scene.Memory.StartFailure, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(RoleState.Protected)]
    [InlineData(RoleState.Taking)]
    public void Standby_ItsKeeperIsDead_SaysThatItHoldsNothing(RoleState state)
    {
        var scene = new Scene { Me = H2, Role = RoleOf(state, H1, H2) };
        var (action, after) = scene.DecideUntilAction(withinMs: 10_000);
        Assert.Equal(scene.Role, Assert.IsType<AgentAction.Disclaim>(action).Role);
        Assert.Equal(3_000, after);
    }

    [Fact]
    public void Primary_GuestDiedAlone_IsStartedAnewAfterAWhile()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Running, H1, H2) };
        var (action, after) = scene.DecideUntilAction(withinMs: 10_000);
        Assert.Equal(KeeperStart.Primary, Assert.IsType<AgentAction.StartKeeper>(action).Start);
        Assert.Equal(3_000, after);
    }

    [Fact]
    public void Primary_TakenOverMeanwhile_StartsNothing()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Protected, H1, H2) };
        Assert.Null(scene.DecideUntilAction(withinMs: 2_000).Action);
        scene.Role = RoleOf(RoleState.Running, H2);
        Assert.Null(scene.DecideUntilAction(withinMs: 20_000).Action);
    }

    [Fact]
    public void Primary_BeingTakenOver_StartsNothing() =>
        Assert.Null(new Scene { Role = RoleOf(RoleState.Taking, H1, H2) }.DecideUntilAction(withinMs: 60_000).Action);

    [Fact]
    public void Primary_QemuOutlivedItsKeeper_AdoptsAtOnce()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Running, H1), Local = Orphan };
        Assert.Equal(KeeperStart.Adopt, Assert.IsType<AgentAction.StartKeeper>(scene.Decide()).Start);
    }

    /// <summary>Its keeper had won the stop, and died before it killed QEMU; the user has started the VM since.</summary>
    [Fact]
    public void Primary_QemuOutlivedTheStop_StartsAnew()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Stopped, H1), Local = Orphan };
        Assert.Equal(KeeperStart.Primary, Assert.IsType<AgentAction.StartKeeper>(scene.Decide()).Start);
    }

    /// <summary>Its keeper died after it had asked the guest to power down: nobody kills the guest in the midst of that.</summary>
    [Theory]
    [InlineData(RoleState.Running)]
    [InlineData(RoleState.Protected)]
    public void Primary_ShallNotRunAndQemuOutlivedItsKeeper_IsAdoptedAndAskedToPowerDown(RoleState state)
    {
        var scene = new Scene { Role = RoleOf(state, H1, H2), Local = Orphan };
        scene.Record = scene.Record! with { Run = false };
        scene.Memory = scene.Memory with { StoppedAt = scene.Now }; // the one that died was asked just now
        Assert.Equal(KeeperStart.Adopt, Assert.IsType<AgentAction.StartKeeper>(scene.Decide()).Start);
        scene.Local = Alone();
        Assert.False(Assert.IsType<AgentAction.Stop>(scene.Decide()).Force);
    }

    [Fact]
    public void Primary_ShallNotRunAndQemuOutlivedTheStop_IsRemoved()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Stopped, H1), Local = Orphan };
        scene.Record = scene.Record! with { Run = false };
        Assert.Equal(new AgentAction.ClearRemains(Redis), scene.Decide());
        scene.Local = Remains;
        scene.Role = RoleOf(RoleState.Running, H1);
        Assert.Equal(new AgentAction.ClearRemains(Redis), scene.Decide());
    }

    [Theory]
    [InlineData(RoleState.Running)]
    [InlineData(RoleState.Stopped)]
    public void NotPrimaryAnyMore_QemuOutlivedItsKeeper_IsRemoved(RoleState state)
    {
        var scene = new Scene { Role = RoleOf(state, H2), Local = Orphan };
        Assert.Equal(new AgentAction.ClearRemains(Redis), scene.Decide());
    }

    /// <summary>The last swap of the keeper that died may still win, or the host to which it handed the guest over may give it back.</summary>
    [Fact]
    public void NotPrimary_TheGuestMoved_IsRemovedAfterAWhile()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Running, H2), Local = Orphan with { Attempt = 5, OrphanMoves = true } };
        var (action, after) = scene.DecideUntilAction(withinMs: 60_000);
        Assert.Equal(new AgentAction.ClearRemains(Redis), action);
        Assert.Equal(30_000, after);
    }

    [Fact]
    public void NotPrimary_TheGuestMoved_NoStandbyIsStartedOverIt()
    {
        var scene = new Scene
        {
            Me = H2, Role = RoleOf(RoleState.Running, H1), Local = Orphan with { Attempt = 5, OrphanMoves = true }, Assignment = new StandbyAssignment(H2, 9),
        };
        scene.Record = scene.Record! with { Protect = true };
        Assert.Null(scene.DecideUntilAction(withinMs: 14_500).Action);
        scene.Role = RoleOf(RoleState.Running, H2);
        Assert.Equal(KeeperStart.Adopt, Assert.IsType<AgentAction.StartKeeper>(scene.Decide()).Start);
    }

    /// <summary>It was started for a role of before, and waits for a primary that there will never be.</summary>
    [Fact]
    public void Primary_AStandbyLivesHere_IsSentAway()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Running, H1), Local = Alone("waiting", "standby", attempt: 4) };
        Assert.IsType<AgentAction.SendAway>(scene.Decide());
    }

    /// <summary>It has taken over, and has not heard of its swap's outcome yet.</summary>
    [Fact]
    public void Primary_TheStandbyThatTheRoleNamesAsPrimary_IsLeftAlone()
    {
        var taker = Alone("ready", "standby", attempt: 4);
        var scene = new Scene { Local = taker, Role = RoleOf(RoleState.Running, H1) with { Primary = new Member(H1, taker.Keeper!.Incarnation) } };
        Assert.Null(scene.DecideUntilAction(withinMs: 20_000).Action);
    }

    /// <summary>The store is looked at before the host.</summary>
    [Fact]
    public void NotPrimary_ItsKeeperHasWonTheRoleSinceTheStoreWasLookedAt_IsLeftAlone()
    {
        var landed = Alone();
        var scene = new Scene { Role = RoleOf(RoleState.Running, H2), Local = landed with { Keeper = landed.Keeper! with { Role = RoleOf(RoleState.Running, H1) with { Term = 4 } } } };
        Assert.Null(scene.Decide());
    }

    [Theory]
    [InlineData(RoleState.Running)]
    [InlineData(RoleState.Protected)]
    public void Destination_WhateverIsAssigned_IsNeverStopped(RoleState state)
    {
        var scene = new Scene { Me = H2, Role = RoleOf(state, H1), Local = Alone("arriving", "destination", attempt: 4), Assignment = new StandbyAssignment(H2, 9) };
        scene.Record = scene.Record! with { Protect = true };
        Assert.Null(scene.DecideUntilAction(withinMs: 20_000).Action);
    }

    [Fact]
    public void Primary_KeeperTooBusyToAnswer_IsLeftAlone() =>
        Assert.Null(new Scene { Role = RoleOf(RoleState.Running, H1), Local = Busy }.DecideUntilAction(withinMs: 60_000).Action);

    [Fact]
    public void Primary_StartFails_IsTriedEverMoreSlowly_AndSaysWhy()
    {
        var scene = new Scene();
        var pauses = new List<double>();
        scene.Decide();
        scene.Local = Ended(0, "QEMU refused its command line");
        for (var i = 0; i < 7; i++)
        {
            scene.Now += 500;
            var (action, after) = scene.DecideUntilAction(withinMs: 60_000);
            Assert.IsType<AgentAction.StartKeeper>(action);
            pauses.Add(after + 500);
        }
        Assert.Equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000], pauses);
        Assert.Equal("QEMU refused its command line", scene.Memory.StartFailure);
    }

    [Fact]
    public void User_StopsAndStartsAgainAndAgain_NeverWaitsForABackOff()
    {
        var scene = new Scene();
        for (var i = 0; i < 8; i++)
        {
            scene.Record = scene.Record! with { Run = true };
            Assert.IsType<AgentAction.StartKeeper>(scene.Decide());
            (scene.Role, scene.Local) = (RoleOf(RoleState.Running, H1), Alone());
            scene.Now += 500;
            Assert.Null(scene.Decide());
            scene.Record = scene.Record with { Run = false };
            (scene.Role, scene.Local) = (RoleOf(RoleState.Stopped, H1), Ended(0, "leaves: stopped by the user"));
            scene.Now += 500;
            Assert.Null(scene.Decide());
        }
    }

    [Fact]
    public void Primary_DiesAfterRunningWell_CountsAsNoFailedStart()
    {
        var scene = new Scene();
        scene.Decide();
        scene.Memory = scene.Memory with { Starting = new BackOff(9, scene.Now, scene.Now + 30_000) };
        (scene.Role, scene.Local) = (RoleOf(RoleState.Running, H1), Alone());
        Assert.Null(scene.DecideUntilAction(withinMs: 61_000).Action);
        scene.Local = Remains;
        Assert.Equal(3_000, scene.DecideUntilAction(withinMs: 60_000).AfterMs);
    }

    [Fact]
    public void NotWantedToRun_KeeperLives_IsAskedToStop_NotAllTheTime()
    {
        var scene = new Scene { Role = RoleOf(RoleState.Running, H1), Local = Alone() };
        scene.Record = scene.Record! with { Run = false };
        Assert.False(Assert.IsType<AgentAction.Stop>(scene.Decide()).Force);
        scene.Now += 500;
        Assert.Equal(9_500, scene.DecideUntilAction(withinMs: 60_000).AfterMs);
    }

    [Fact]
    public void Deleted_OnlyLogsAreLeft_RemovesTheDirectory()
    {
        var scene = new Scene { Record = null, Local = Ended(4, "leaves") };
        Assert.Equal(new AgentAction.ClearRemains(Redis), scene.Decide());
    }

    [Fact]
    public void Deleted_StandbyLives_IsStopped() =>
        Assert.IsType<AgentAction.SendAway>(new Scene { Me = H2, Record = null, Local = Alone("standby-ready", "standby") }.Decide());

    [Fact]
    public void StoreLostTheRecord_GuestRuns_RunsOn() =>
        Assert.Null(new Scene { Record = null, Local = Alone() }.DecideUntilAction(withinMs: 60_000).Action);

    [Fact]
    public void StoreLostTheRecord_KeeperDies_TheGuestIsLeft() =>
        Assert.Null(new Scene { Record = null, Role = RoleOf(RoleState.Running, H1), Local = Orphan }.DecideUntilAction(withinMs: 60_000).Action);

    [Fact]
    public void StoreHoldsGarbage_NothingIsDone_AndSaid()
    {
        var scene = new Scene { Record = null, Damage = "the role key holds no role", Local = Remains };
        Assert.Null(scene.DecideUntilAction(withinMs: 60_000).Action);
        Assert.Equal("the role key holds no role", scene.Memory.Note);
    }
}
