using Pollux.Core;
using Pollux.Replication.Pair;
using static Pollux.Unit.Tests.Replication.Pair.PairScript;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>The rules of the pair on the side that runs the guest. Numbers are the rules'.</summary>
public sealed class PrimaryTests
{
    [Fact]
    public void Rule1_AKeeperThatStarts_ClaimsTheRoleBeforeTheGuestStarts()
    {
        var keeper = NewPrimary().When(new PairEvent.Started()).Does(new PairEffect.ReadRole());

        keeper.When(new PairEvent.RoleRead(null, 0)).IsIn(PairPhase.Claiming);
        Assert.Equal((0, RoleState.Running, A), (keeper.Sent.ExpectedRevision, keeper.Sent.Next.State, keeper.Sent.Next.Primary));

        keeper.Wins().IsIn(PairPhase.Alone).Does(new PairEffect.StartGuest(Adopt: false));
    }

    [Fact]
    public void Rule1_AKeeperThatAdopts_TakesTheRoleInItsOwnName()
    {
        var former = new Member(A.Host, Incarnation.Create("a0"));
        var keeper = NewPrimary(adopting: true).When(new PairEvent.Started()).When(new PairEvent.RoleRead(RoleProtected() with { Primary = former }, 9));

        Assert.Equal((9, RoleState.Running, A, null), (keeper.Sent.ExpectedRevision, keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
        keeper.Wins().IsIn(PairPhase.Alone).Does(new PairEffect.StartGuest(Adopt: true));
    }

    /// <summary>Its claim would take the VM from the standby, which has the last commit.</summary>
    [Fact]
    public void Rule8_AnAdopterWhoseQemuIsDead_LeavesTheRoleAsItIs()
    {
        var keeper = NewPrimary(adopting: true).When(new PairEvent.Started()).When(new PairEvent.RoleRead(RoleProtected(), 9));
        keeper.When(new PairEvent.SwapUnsent(keeper.Pending.Next.Nonce, "the QEMU to adopt has ended")).IsIn(PairPhase.Gone);
        Assert.IsType<PairEffect.Leave>(Assert.Single(keeper.Effects));
    }

    [Fact]
    public void Rule5_AnAdopterThatComesWhileTheStandbyTakes_KeepsTheGuestUntilTheOtherRuns()
    {
        var keeper = NewPrimary(adopting: true).When(new PairEvent.Started()).When(new PairEvent.RoleRead(RoleTaking(), 9));
        keeper.IsIn(PairPhase.Claiming).Does(new PairEffect.ReadRole(Again: true));
        keeper.When(new PairEvent.RoleRead(RoleRunning(B), 10)).IsIn(PairPhase.Gone);
        Assert.IsType<PairEffect.Leave>(Assert.Single(keeper.Effects));
    }

    [Fact]
    public void Rule7_AColdStart_IsRefusedWhileAStandbyHoldsTheLastCommit()
    {
        var keeper = NewPrimary().When(new PairEvent.Started()).When(new PairEvent.RoleRead(RoleProtected(), 9));
        keeper.IsIn(PairPhase.Gone);
        Assert.IsType<PairEffect.Leave>(Assert.Single(keeper.Effects));
    }

    [Fact]
    public void Rule1_AClaimThatLostItsSwap_ReadsAnew()
    {
        var keeper = NewPrimary().When(new PairEvent.Started()).When(new PairEvent.RoleRead(null, 0));
        keeper.Loses(RoleRunning(B)).IsIn(PairPhase.Claiming).Does(new PairEffect.ReadRole());
        keeper.When(new PairEvent.RoleRead(RoleRunning(B), 12)).IsIn(PairPhase.Gone);
    }

    [Fact]
    public void Rule4_FramesAreHeldFromTheCutOfCheckpointZero_BeforeTheGuestRunsOn()
    {
        Alone().When(new PairEvent.ProtectRequested(B)).IsIn(PairPhase.Syncing).Does(new PairEffect.BeginCheckpointing(B))
            .When(new PairEvent.FirstCut()).Does(new PairEffect.HoldEgress(), new PairEffect.ResumeFromCut());
    }

    [Fact]
    public void Rule4_NothingIsReleased_BeforeTheRoleSaysProtected()
    {
        var keeper = Syncing().Acknowledged(0).IsIn(PairPhase.Protecting);
        Assert.Equal((RoleState.Protected, A, B), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
        keeper.Acknowledged(1).DoesNothing();
        keeper.Wins().IsIn(PairPhase.Protected).Does(new PairEffect.TellProtected(), new PairEffect.Release(new Epoch(1)));
    }

    [Fact]
    public void Rule4_EachAcknowledgement_ReleasesUpToItself()
    {
        Protected().Acknowledged(1).Does(new PairEffect.Release(new Epoch(1)))
            .Acknowledged(4).Does(new PairEffect.Release(new Epoch(4)))
            .Acknowledged(4).DoesNothing()
            .Acknowledged(2).DoesNothing();
    }

    [Fact]
    public void Rule4_AStandbyLostWhileItWasFilled_CostsNoSwap()
    {
        var keeper = Syncing().When(new PairEvent.LinkDown("reset")).IsIn(PairPhase.Alone);
        Assert.Contains(new PairEffect.ReleaseAll(), keeper.Effects);
        Assert.Null(keeper.State.Pending);
    }

    public static TheoryData<PairEvent> Losses => new(
        new PairEvent.LinkDown("reset"), new PairEvent.PeerSilent(150), new PairEvent.Dismissed("its QEMU died"),
        new PairEvent.CheckpointingEnded("closed"), new PairEvent.UnprotectRequested());

    [Theory]
    [MemberData(nameof(Losses))]
    public void Rule1_AProtectedPrimaryThatLosesItsStandby_HoldsUntilItHasWonTheSwap(PairEvent loss)
    {
        var keeper = Protected().When(loss).IsIn(PairPhase.GoingSolo);
        Assert.IsType<PairEffect.CloseGate>(keeper.Effects[0]);
        Assert.Equal((RoleState.Running, A, null), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
        Assert.DoesNotContain(keeper.Effects, e => e is PairEffect.Release or PairEffect.ReleaseAll);

        keeper.Wins().IsIn(PairPhase.Alone);
        Assert.Equal([new PairEffect.ReleaseAll(), new PairEffect.OpenGate()], keeper.Effects.Skip(1));
        Assert.IsType<PairEffect.EndCheckpointing>(keeper.Effects[0]);
    }

    [Fact]
    public void Rule3_AnAcknowledgementThatWasSent_CountsWhileGoingSolo()
    {
        Protected().When(new PairEvent.PeerSilent(150)).Acknowledged(2).IsIn(PairPhase.GoingSolo).Does(new PairEffect.Release(new Epoch(2)));
    }

    [Fact]
    public void Rule5_APrimaryWhoseSwapLostToTheTaker_FreezesAndWatches()
    {
        Protected().When(new PairEvent.PeerSilent(150)).Loses(RoleTaking()).IsIn(PairPhase.Frozen)
            .Does(new PairEffect.CloseGate(), new PairEffect.WatchRole())
            .Acknowledged(9).DoesNothing();
    }

    [Fact]
    public void Rule5_AFrozenPrimary_IsThrownAwayOnlyWhenTheOtherRuns()
    {
        var keeper = Protected().When(new PairEvent.PeerSilent(150)).Loses(RoleTaking());
        keeper.When(new PairEvent.RoleRead(RoleTaking(), 12)).IsIn(PairPhase.Frozen).DoesNothing();
        keeper.When(new PairEvent.LinkDown("reset")).IsIn(PairPhase.Frozen).DoesNothing();
        keeper.When(new PairEvent.RoleRead(RoleRunning(B), 13)).IsIn(PairPhase.Gone);
    }

    [Fact]
    public void Rule5_AFrozenPrimaryWhoseTakerDied_TakesTheRoleBackBySwap()
    {
        var keeper = Protected().When(new PairEvent.PeerSilent(150)).Loses(RoleTaking());
        keeper.When(new PairEvent.TakeoverOverdue()).IsIn(PairPhase.GoingSolo);
        keeper.Loses(RoleRunning(B)).IsIn(PairPhase.Gone); // the taker was quicker after all
    }

    [Fact]
    public void Rule5_AFrozenPrimary_GoesOnWhenTheTakerSwapsBack()
    {
        var keeper = Protected().When(new PairEvent.PeerSilent(150)).Loses(RoleTaking());
        keeper.When(new PairEvent.RoleRead(RoleRunning(A), 12)).IsIn(PairPhase.Alone);
        Assert.Equal([new PairEffect.ReleaseAll(), new PairEffect.OpenGate()], keeper.Effects.Skip(1));
    }

    [Fact]
    public void Rule5_AFrozenPrimaryWhoseGuestDied_HasNothingToGoOnWith()
    {
        var keeper = Protected().When(new PairEvent.PeerSilent(150)).Loses(RoleTaking());
        keeper.When(new PairEvent.QemuExited("killed by signal 9")).IsIn(PairPhase.Gone)
            .Does(new PairEffect.TellPrimaryDown("killed by signal 9"), new PairEffect.Leave("killed by signal 9"));
    }

    [Fact]
    public void Rule5_APrimarySupersededByAnythingElse_WatchesTheRoleToo()
    {
        var keeper = Protected().When(new PairEvent.PeerSilent(150)).Loses(RoleProtected() with { Nonce = "restored" });

        keeper.IsIn(PairPhase.Frozen).Does(new PairEffect.CloseGate(), new PairEffect.WatchRole());
    }

    [Fact]
    public void Rule8_ADeadGuest_IsToldToTheStandbyAtOnce()
    {
        var keeper = Protected().When(new PairEvent.QemuExited("killed by signal 9")).IsIn(PairPhase.Gone);
        keeper.Does(new PairEffect.TellPrimaryDown("killed by signal 9"), new PairEffect.Leave("killed by signal 9"));
    }

    [Fact]
    public void Rule8_APrimaryThatWasLate_ReleasesNothingBeforeItHasReadTheRole()
    {
        var keeper = Protected().When(new PairEvent.WasLate(400, new Epoch(3))).IsIn(PairPhase.Verifying).Does(new PairEffect.ReadRole());
        keeper.Acknowledged(2).DoesNothing();
        keeper.When(new PairEvent.ReadFailed("no answer")).Does(new PairEffect.ReadRole(Again: true));
        keeper.When(new PairEvent.RoleRead(RoleProtected(), 8)).IsIn(PairPhase.Protected).Does(new PairEffect.Release(new Epoch(2)));
    }

    [Fact]
    public void Rule8_AnAcknowledgementFromAfterTheGap_ProvesThatTheStandbyIsNotSealed()
    {
        Protected().When(new PairEvent.WasLate(400, new Epoch(3))).Acknowledged(3).DoesNothing()
            .Acknowledged(4).IsIn(PairPhase.Protected).Does(new PairEffect.Release(new Epoch(4)));
    }

    [Fact]
    public void Rule8_APrimaryThatWasLateWhileHandingOver_ReadsTheRoleBeforeItReleasesOrFreezes()
    {
        var keeper = Protected().When(new PairEvent.TakeoverRequested()).When(new PairEvent.FinalCut(new Epoch(5)))
            .When(new PairEvent.WasLate(4_000, new Epoch(6))).IsIn(PairPhase.HandingOver).Does(new PairEffect.ReadRole());
        keeper.Acknowledged(5).IsIn(PairPhase.HandingOver).DoesNothing();
        keeper.When(new PairEvent.ReadFailed("no answer")).Does(new PairEffect.ReadRole(Again: true));

        keeper.When(new PairEvent.RoleRead(RoleProtected(), 8)).IsIn(PairPhase.Frozen);
        Assert.Contains(new PairEffect.Release(new Epoch(5)), keeper.Effects);
    }

    [Fact]
    public void Rule8_APrimaryThatWasLateWhileHandingOver_AndIsReplaced_ReleasesNothing()
    {
        var keeper = Protected().When(new PairEvent.TakeoverRequested()).When(new PairEvent.FinalCut(new Epoch(5)))
            .When(new PairEvent.WasLate(4_000, new Epoch(6))).Acknowledged(5).DoesNothing();
        keeper.When(new PairEvent.RoleRead(RoleRunning(B), 8)).IsIn(PairPhase.Gone);
        Assert.DoesNotContain(keeper.Effects, e => e is PairEffect.Release or PairEffect.ReleaseAll);
    }

    [Fact]
    public void Rule8_APrimaryThatWasLateWhileGoingSolo_ReleasesNothingBeforeItsSwapIsDecided()
    {
        var keeper = Protected().When(new PairEvent.PeerSilent(150)).When(new PairEvent.WasLate(400, new Epoch(3))).IsIn(PairPhase.GoingSolo);
        keeper.Acknowledged(2).DoesNothing();
        keeper.Wins().IsIn(PairPhase.Alone);
        Assert.Contains(new PairEffect.ReleaseAll(), keeper.Effects);
    }

    [Fact]
    public void Rule8_APrimaryThatWasLateWhileProtectionBegan_ReadsTheRoleBeforeItReleases()
    {
        var keeper = Syncing().Acknowledged(0).When(new PairEvent.WasLate(400, new Epoch(1))).IsIn(PairPhase.Protecting).DoesNothing();
        keeper.Wins().IsIn(PairPhase.Verifying).Does(new PairEffect.TellProtected(), new PairEffect.ReadRole());
        keeper.When(new PairEvent.RoleRead(RoleProtected(), 8)).IsIn(PairPhase.Protected).Does(new PairEffect.Release(new Epoch(0)));
    }

    [Fact]
    public void Rule8_APrimaryThatWasLateAndIsTaken_Freezes()
    {
        Protected().When(new PairEvent.WasLate(400, new Epoch(3))).When(new PairEvent.RoleRead(RoleTaking(), 8))
            .IsIn(PairPhase.Frozen).Does(new PairEffect.CloseGate(), new PairEffect.WatchRole());
    }

    [Fact]
    public void Rule8_AStandbyLostWhileTheRoleWasRead_IsNotForgotten()
    {
        var keeper = Protected().When(new PairEvent.WasLate(400, new Epoch(3))).When(new PairEvent.LinkDown("reset")).IsIn(PairPhase.Verifying);
        keeper.When(new PairEvent.RoleRead(RoleProtected(), 8)).IsIn(PairPhase.GoingSolo);
        Assert.Equal(8, keeper.Sent.ExpectedRevision);
    }

    /// <summary>The host stands still between a question and its answer: what was true before says nothing now.</summary>
    [Fact]
    public void Rule8_LateAgainBeforeTheAnswer_HearsOnlyTheAnswerToTheLaterQuestion()
    {
        var keeper = Protected().When(new PairEvent.WasLate(400, new Epoch(3)));
        var first = keeper.State.Question;
        keeper = keeper.When(new PairEvent.WasLate(5_000, new Epoch(4))).IsIn(PairPhase.Verifying).Does(new PairEffect.ReadRole());
        keeper.When(new PairEvent.RoleRead(RoleProtected(), 7, first)).IsIn(PairPhase.Verifying).DoesNothing();
        keeper.When(new PairEvent.ReadFailed("no answer", first)).IsIn(PairPhase.Verifying).DoesNothing();
        keeper.Acknowledged(4).IsIn(PairPhase.Verifying);
        keeper.When(new PairEvent.RoleRead(RoleProtected(), 7, first + 1)).IsIn(PairPhase.Protected);
    }

    [Fact]
    public void Rule8_WhatAWatchSaw_AnswersNoQuestion() =>
        Protected().When(new PairEvent.WasLate(400, new Epoch(3))).When(new PairEvent.RoleRead(RoleProtected(), 7, PairEvent.RoleRead.Watched)).IsIn(PairPhase.Verifying).DoesNothing();

    [Fact]
    public void PlannedTakeover_TellsTheStandbyOnlyWhenTheLastEpochIsCommitted()
    {
        var keeper = Protected().When(new PairEvent.TakeoverRequested()).IsIn(PairPhase.HandingOver).Does(new PairEffect.CutFinal());
        keeper.When(new PairEvent.FinalCut(new Epoch(5))).Does(new PairEffect.Release(new Epoch(0)));
        keeper.Acknowledged(4).Does(new PairEffect.Release(new Epoch(4)));
        keeper.Acknowledged(5).IsIn(PairPhase.Frozen)
            .Does(new PairEffect.Release(new Epoch(5)), new PairEffect.TellTakeNow(new Epoch(5)), new PairEffect.WatchRole());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void PlannedTakeover_ThatTheStandbyDoesNotBegin_EndsSoloByASwap(bool overdue)
    {
        var keeper = HandedOver().When(overdue ? new PairEvent.TakeoverOverdue() : new PairEvent.LinkDown("reset")).IsIn(PairPhase.GoingSolo);
        keeper.Loses(RoleTaking()).IsIn(PairPhase.Frozen);
        keeper.When(new PairEvent.RoleRead(RoleRunning(B), 30)).IsIn(PairPhase.Gone);
    }

    [Fact]
    public void PlannedTakeover_WhoseOldGuestDies_IsLeftToTheStandby()
    {
        HandedOver().When(new PairEvent.QemuExited("killed by signal 9")).IsIn(PairPhase.Gone)
            .Does(new PairEffect.TellPrimaryDown("killed by signal 9"), new PairEffect.Leave("killed by signal 9"));
    }

    [Fact]
    public void Stop_ByTheGuestItself_IsSaidInTheRole()
    {
        var next = Protected().When(new PairEvent.StopRequested(ByGuest: true)).Sent.Next;
        Assert.Equal((RoleState.Stopped, true), (next.State, next.ByGuest));
    }

    [Fact]
    public void Stop_OfAProtectedGuest_WritesStoppedBeforeTheGuestIsKilled()
    {
        var keeper = Protected().When(new PairEvent.StopRequested()).IsIn(PairPhase.Stopping);
        Assert.Equal(RoleState.Stopped, keeper.Sent.Next.State);
        Assert.DoesNotContain(keeper.Effects, e => e is PairEffect.StopGuest);

        Assert.False(keeper.Sent.Next.ByGuest);

        keeper.Wins().IsIn(PairPhase.Gone);
        Assert.Equal(["TellDismiss", "StopGuest", "Leave"], keeper.Effects.Select(e => e.GetType().Name));
    }
}
