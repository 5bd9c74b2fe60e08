using Pollux.Agent.Reconciling;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;
using static Pollux.Unit.Tests.Agent.Reconciling.Scene;

namespace Pollux.Unit.Tests.Agent.Reconciling;

/// <summary>How a primary's host finds a standby, and what the standby's host does.</summary>
public sealed class ProtectionTests
{
    private static Scene AtPrimary(HostId? preferred = null, params HostId[] alive)
    {
        var scene = new Scene { Role = RoleOf(RoleState.Running, H1), Local = Alone(), Alive = alive.Length == 0 ? [H1, H2] : [.. alive] };
        scene.Record = scene.Record! with { Protect = true, PreferredStandby = preferred };
        return scene;
    }

    private static Scene AtStandby(long attempt = 5)
    {
        var scene = new Scene { Me = H2, Role = RoleOf(RoleState.Running, H1), Assignment = new StandbyAssignment(H2, attempt) };
        scene.Record = scene.Record! with { Protect = true };
        return scene;
    }

    [Fact]
    public void Primary_WantsProtection_AsksTheOtherHost() => Assert.Equal(H2, Assert.IsType<AgentAction.Assign>(AtPrimary().Decide()).Host);

    [Fact]
    public void Primary_UserPrefersAHost_AsksThat() =>
        Assert.Equal(H3, Assert.IsType<AgentAction.Assign>(AtPrimary(H3, H1, H2, H3).Decide()).Host);

    [Fact]
    public void Primary_PreferredHostIsDead_AsksAnother() =>
        Assert.Equal(H2, Assert.IsType<AgentAction.Assign>(AtPrimary(H3, H1, H2).Decide()).Host);

    [Fact]
    public void Primary_PreferredHostIsItself_AsksAnother() =>
        Assert.Equal(H2, Assert.IsType<AgentAction.Assign>(AtPrimary(H1, H1, H2).Decide()).Host);

    [Fact]
    public void Primary_ThePreferredHostHasAnotherQemu_AsksOneThatIsAlike()
    {
        var scene = AtPrimary(H2, H1, H2, H3);
        scene.OtherQemu.Add(H2);
        Assert.Equal(H3, Assert.IsType<AgentAction.Assign>(scene.Decide()).Host);
    }

    [Fact]
    public void Primary_EveryOtherHostHasAnotherQemu_AsksOneAllTheSame()
    {
        var scene = AtPrimary(null, H1, H2, H3);
        scene.OtherQemu.AddRange([H2, H3]);
        Assert.Equal(H2, Assert.IsType<AgentAction.Assign>(scene.Decide()).Host);
    }

    [Fact]
    public void Primary_NoOtherHostLives_SaysSo()
    {
        var scene = AtPrimary(null, H1);
        Assert.Null(scene.DecideUntilAction(withinMs: 60_000).Action);
        Assert.Contains("no other host is alive", scene.Memory.Note, StringComparison.Ordinal);
    }

    [Fact]
    public void Primary_StandbyIsReady_Protects_Once()
    {
        var scene = AtPrimary();
        scene.Assignment = new StandbyAssignment(H2, 5);
        scene.Offer(StandbyState.Ready);
        Assert.Equal(new AgentAction.Protect(Redis, new StandbyTarget(H2, Standby, "10.0.0.2", 4000)), scene.Decide());
        scene.Now += 500;
        Assert.Null(scene.Decide());
    }

    [Fact]
    public void Primary_StandbyAnswersAnOlderAttempt_IsNotUsed()
    {
        var scene = AtPrimary();
        scene.Assignment = new StandbyAssignment(H2, 5);
        scene.Endpoints.Add(new StandbyEndpoint(H2, Standby, 4, "10.0.0.2", 4000, StandbyState.Ready, null));
        Assert.Null(scene.Decide());
    }

    [Fact]
    public void Primary_StandbyFailed_TriesTheOtherHost_AndSaysWhy()
    {
        var scene = AtPrimary(H2, H1, H2, H3);
        scene.Assignment = new StandbyAssignment(H2, 5);
        scene.Offer(StandbyState.Failed, "no memory");
        var assign = Assert.IsType<AgentAction.Assign>(scene.Decide());
        Assert.Equal(H3, assign.Host);
        Assert.True(assign.Attempt > 5);
        Assert.Equal(7, assign.ExpectedRevision);
        Assert.Equal("h2 cannot stand by: no memory", scene.Memory.Note);
    }

    [Theory]
    [InlineData("h2 dies, who stood by")]
    [InlineData("h1 died, and this is h2")]
    public void Primary_LosesTheOtherHostOfThePair_AsksTheThirdFirst(string what)
    {
        var (me, lost) = what.StartsWith("h2", StringComparison.Ordinal) ? (H1, H2) : (H2, H1);
        var scene = new Scene { Me = me, Role = RoleOf(RoleState.Protected, H1, H2), Assignment = new StandbyAssignment(H2, 5), Alive = [H1, H2, H3] };
        scene.Record = scene.Record! with { Protect = true, PreferredStandby = lost };
        scene.Local = me == H1 ? Alone("protected") : Alone("standby-ready", "standby", attempt: 5);
        Assert.Null(scene.Decide());

        (scene.Role, scene.Local) = (RoleOf(RoleState.Running, me), Alone());

        Assert.Equal(H3, Assert.IsType<AgentAction.Assign>(scene.DecideUntilAction(withinMs: 60_000).Action).Host);
    }

    [Fact]
    public void Primary_LosesItsStandby_DoesNotAskThatOneAgain()
    {
        var scene = AtPrimary();
        (scene.Role, scene.Local, scene.Assignment) = (RoleOf(RoleState.Protected, H1, H2), Alone("protected"), new StandbyAssignment(H2, 5));
        scene.Offer(StandbyState.Ready);
        Assert.Null(scene.Decide());

        (scene.Role, scene.Local) = (RoleOf(RoleState.Running, H1), Alone());

        Assert.True(Assert.IsType<AgentAction.Assign>(scene.Decide()).Attempt > 5);
    }

    /// <summary>Each of the others is offered and comes to nothing, or does not answer: none is asked for ever while another one waits.</summary>
    [Fact]
    public void Primary_LosesTheOtherHostOfThePair_AndTheThirdCannotBeReached_AsksTheFirstAgain()
    {
        var scene = AtPrimary(null, H1, H2, H3);
        (scene.Role, scene.Local, scene.Assignment) = (RoleOf(RoleState.Protected, H1, H2), Alone("protected"), new StandbyAssignment(H2, 5));
        Assert.Null(scene.Decide());
        (scene.Role, scene.Local) = (RoleOf(RoleState.Running, H1), Alone());
        var asked = new List<HostId>();

        for (var i = 0; i < 4; i++)
        {
            AgentAction? action;
            while ((action = scene.DecideUntilAction(withinMs: 60_000).Action) is AgentAction.Protect)
            {
            }
            var assign = Assert.IsType<AgentAction.Assign>(action);
            asked.Add(assign.Host!.Value);
            scene.Assignment = new StandbyAssignment(assign.Host!.Value, assign.Attempt);
            scene.Endpoints.Clear();
            scene.Offer(StandbyState.Ready);
        }

        Assert.Equal([H3, H2, H3, H2], asked);
    }

    [Fact]
    public void Primary_TheOtherHostDies_AndTheThirdHadFailedLongBefore_AsksTheThird()
    {
        var scene = AtPrimary(null, H1, H2, H3);
        scene.Assignment = new StandbyAssignment(H3, 4);
        scene.Offer(StandbyState.Failed, "unprotected by the user");
        (scene.Role, scene.Local, scene.Assignment) = (RoleOf(RoleState.Protected, H1, H2), Alone("protected"), new StandbyAssignment(H2, 5));
        scene.Offer(StandbyState.Ready);
        Assert.Null(scene.Decide());

        (scene.Role, scene.Local) = (RoleOf(RoleState.Running, H1), Alone());

        Assert.Equal(H3, Assert.IsType<AgentAction.Assign>(scene.Decide()).Host);
    }

    [Fact]
    public void Primary_UnprotectedMeanwhile_AsksThePreferredHostThoughItStoodByBefore()
    {
        var scene = AtPrimary(H2, H1, H2, H3);
        scene.Assignment = new StandbyAssignment(H2, 5);
        (scene.Role, scene.Local) = (RoleOf(RoleState.Protected, H1, H2), Alone("protected"));
        Assert.Null(scene.Decide());
        scene.Offer(StandbyState.Failed, "unprotected by the user");
        scene.Assignment = null;
        (scene.Role, scene.Local, scene.Record) = (RoleOf(RoleState.Running, H1), Alone(), scene.Record! with { Protect = false });
        Assert.Null(scene.Decide());

        scene.Record = scene.Record with { Protect = true };

        Assert.Equal(H2, Assert.IsType<AgentAction.Assign>(scene.Decide()).Host);
    }

    [Fact]
    public void Primary_ProtectionCameToNothing_SaysItsKeepersReasonAndNotTheStandbys()
    {
        var scene = AtPrimary();
        scene.Assignment = new StandbyAssignment(H2, 5);
        scene.Offer(StandbyState.Ready);
        scene.Decide();
        scene.Endpoints.Clear();
        scene.Offer(StandbyState.Failed, "its QEMU ended");
        scene.Now += 2_000;
        scene.Decide();
        Assert.Equal("the link broke", scene.Memory.Note);
    }

    [Fact]
    public void Primary_StandbyFailsAgainAndAgain_IsTriedEverMoreSlowly()
    {
        var scene = AtPrimary();
        var pauses = new List<double>();
        for (var i = 0; i < 8; i++)
        {
            var (action, after) = scene.DecideUntilAction(withinMs: 60_000);
            var assign = Assert.IsType<AgentAction.Assign>(action);
            pauses.Add(after);
            scene.Assignment = new StandbyAssignment(H2, assign.Attempt);
            scene.Endpoints.Clear();
            scene.Offer(StandbyState.Failed, "no memory");
        }
        Assert.Equal([0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000], pauses);
    }

    [Fact]
    public void Primary_ProtectedAgainAfterItWasNot_UsesANewAttempt()
    {
        var scene = AtPrimary();
        var first = Assert.IsType<AgentAction.Assign>(scene.Decide());
        scene.Record = scene.Record! with { Protect = false };
        scene.Assignment = new StandbyAssignment(H2, first.Attempt);
        scene.Now += 500;
        Assert.Equal(new AgentAction.Assign(Redis, null, 0, 7), scene.Decide());
        scene.Assignment = null;
        scene.Record = scene.Record with { Protect = true };
        scene.Now += 500;
        Assert.True(Assert.IsType<AgentAction.Assign>(scene.Decide()).Attempt > first.Attempt);
    }

    [Fact]
    public void Primary_TookOverAndIsItselfAssigned_AsksTheOtherHost()
    {
        var scene = new Scene { Me = H2, Role = RoleOf(RoleState.Running, H2), Local = Alone(), Assignment = new StandbyAssignment(H2, 5) };
        scene.Record = scene.Record! with { Protect = true };
        Assert.Equal(H1, Assert.IsType<AgentAction.Assign>(scene.Decide()).Host);
    }

    [Theory]
    [InlineData("protected")]
    [InlineData("syncing")]
    public void Primary_NotWantedProtected_EndsIt(string phase)
    {
        var scene = new Scene { Role = RoleOf(RoleState.Protected, H1, H2), Local = Alone(phase), Assignment = new StandbyAssignment(H2, 5) };
        Assert.Equal(new AgentAction.Unprotect(Redis), scene.Decide());
    }

    [Theory]
    [InlineData("protected")]
    [InlineData("syncing")]
    [InlineData("holding")]
    public void Primary_IsProtectedOrOnItsWay_DoesNothing(string phase)
    {
        var scene = AtPrimary();
        (scene.Role, scene.Local, scene.Assignment) = (RoleOf(RoleState.Protected, H1, H2), Alone(phase), new StandbyAssignment(H2, 5));
        Assert.Null(scene.DecideUntilAction(withinMs: 60_000).Action);
    }

    [Fact]
    public void Standby_Assigned_StartsItsKeeper() =>
        Assert.Equal(new AgentAction.StartKeeper(Redis, KeeperStart.Standby, "name: redis", 5), AtStandby().Decide());

    [Fact]
    public void Standby_KeeperOfThisAttemptDied_TellsWhy_Once()
    {
        var scene = AtStandby();
        scene.Local = Ended(5, "no memory");
        Assert.Equal(new AgentAction.TellFailed(Redis, 5, "no memory"), scene.Decide());
        scene.Offer(StandbyState.Failed, "no memory");
        Assert.Null(scene.Decide());
    }

    [Fact]
    public void Standby_KeeperOfAnOlderAttemptDied_StartsItsKeeper()
    {
        var scene = AtStandby();
        scene.Local = Ended(4, "leaves: unprotected by the user");
        Assert.IsType<AgentAction.StartKeeper>(scene.Decide());
    }

    [Fact]
    public void Standby_NewerAttempt_ReplacesTheOldKeeper_UnlessTheRoleNamesIt()
    {
        var scene = AtStandby(attempt: 6);
        scene.Local = Alone("standby-waiting", "standby", attempt: 5);
        Assert.IsType<AgentAction.SendAway>(scene.Decide());
        scene.Role = RoleOf(RoleState.Protected, H1, H2);
        Assert.Null(scene.Decide());
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void Standby_VmShallNotRunOrNotBeProtected_StartsNothing(bool run, bool protect)
    {
        var scene = AtStandby();
        scene.Record = scene.Record! with { Run = run, Protect = protect };
        Assert.Null(scene.DecideUntilAction(withinMs: 60_000).Action);
    }

    [Fact]
    public void Primary_Stopped_LetsItsStandbyGo()
    {
        var scene = AtPrimary();
        (scene.Role, scene.Local, scene.Assignment) = (RoleOf(RoleState.Stopped, H1), Ended(0, "stopped by the user"), new StandbyAssignment(H2, 5));
        scene.Record = scene.Record! with { Run = false };
        Assert.Equal(new AgentAction.Assign(Redis, null, 0, 7), scene.Decide());
    }

    [Fact]
    public void Standby_PrimaryIsStopped_StartsNothing()
    {
        var scene = AtStandby();
        scene.Role = RoleOf(RoleState.Stopped, H1);
        Assert.Null(scene.DecideUntilAction(withinMs: 60_000).Action);
    }

    [Fact]
    public void Standby_AssignmentWentAway_IsStopped()
    {
        var scene = AtStandby();
        (scene.Assignment, scene.Local) = (null, Alone("standby-waiting", "standby", attempt: 5));
        Assert.IsType<AgentAction.SendAway>(scene.Decide());
    }

    [Theory]
    [InlineData(RoleState.Protected)]
    [InlineData(RoleState.Taking)]
    public void Standby_RoleNamesIt_IsNeverStopped(RoleState state)
    {
        var scene = AtStandby();
        scene.Record = scene.Record! with { Protect = false };
        (scene.Assignment, scene.Role, scene.Local) = (null, RoleOf(state, H1, H2), Alone("standby-ready", "standby", attempt: 5));
        Assert.Null(scene.DecideUntilAction(withinMs: 60_000).Action);
    }

    [Theory]
    [InlineData("taking", "standby")]
    [InlineData("moving", "primary")]
    [InlineData("holding", "primary")]
    public void OldPrimary_KeeperStillThere_IsStopped_ButNotWhileTheRoleMayComeBackToIt(string phase, string side)
    {
        var scene = new Scene { Me = H2, Role = RoleOf(RoleState.Running, H1), Local = Alone(phase, side) };
        Assert.Null(scene.Decide());
        scene.Local = Alone();
        Assert.True(Assert.IsType<AgentAction.Stop>(scene.Decide()).Force);
    }
}
