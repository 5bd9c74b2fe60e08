using Pollux.Replication.Pair;
using static Pollux.Unit.Tests.Replication.Pair.PairScript;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>Live migration: A runs the guest alone and moves it to B, which stands by for nobody.</summary>
public sealed class MigrationTests
{
    private const long HandedOverAt = 101;

    private static PairScript Moving() => Alone().When(new PairEvent.MigrateRequested(B));

    private static PairScript HandedOff() => Moving().When(new PairEvent.SwitchoverReached()).When(new PairEvent.StreamSent());

    private static PairScript TakingBack() => HandedOff().When(new PairEvent.TakeoverOverdue());

    private static PairScript Arriving() => NewDestination().When(new PairEvent.PrimaryConnected(A));

    private static PairScript Landing() => Arriving().When(new PairEvent.HandedOver(RoleRunning(A), HandedOverAt)).When(new PairEvent.Arrived());

    private static PairScript Resuming() => Landing().Wins();

    private static PairScript Returning() => Resuming().When(new PairEvent.GuestCouldNotRun("an assertion failed"));

    private static PairScript Yielding() => HandedOff().When(new PairEvent.RoleRead(RoleRunning(B), 200, PairEvent.RoleRead.Watched));

    private static PairEvent.RoleRead Answer(PairScript keeper, Member primary, long revision) => new(RoleRunning(primary), revision, keeper.State.Question);

    public static TheoryData<PairEvent> Ends => new(
        new PairEvent.LinkDown("reset"), new PairEvent.Dismissed("its QEMU refuses"), new PairEvent.MigrationFailed("it gave up"), new PairEvent.MigrationCancelled());

    [Fact]
    public void Source_Asked_BeginsWithoutASwap()
    {
        Moving().IsIn(PairPhase.Moving).Does(new PairEffect.BeginMigration(B));
        Assert.Null(Moving().State.Pending);
    }

    [Fact]
    public void Source_NotAlone_IsNotMoved() => Protected().When(new PairEvent.MigrateRequested(B)).IsIn(PairPhase.Protected).DoesNothing();

    [Fact]
    public void Source_GuestIsStopped_SendsTheRest() =>
        Moving().When(new PairEvent.SwitchoverReached()).IsIn(PairPhase.Moving).Does(new PairEffect.CompleteMigration());

    [Fact]
    public void Source_AllIsSent_HandsOverTheRevisionThatItKnows()
    {
        var keeper = HandedOff().IsIn(PairPhase.HandedOff);
        keeper.Does(new PairEffect.TellHandOver(keeper.State.Role!, keeper.State.RoleRevision), new PairEffect.WatchRole());
        Assert.Null(keeper.State.Pending);
    }

    [Theory]
    [MemberData(nameof(Ends))]
    public void Source_ItEndsBeforeTheHandOver_GoesOnWithoutAQuestion(PairEvent end)
    {
        foreach (var keeper in (PairScript[])[Moving(), Moving().When(new PairEvent.SwitchoverReached())])
        {
            keeper.When(end).IsIn(PairPhase.Alone);
            Assert.IsType<PairEffect.EndMigration>(Assert.Single(keeper.Effects));
            Assert.Null(keeper.State.Pending);
        }
    }

    [Theory]
    [MemberData(nameof(Ends))]
    public void Source_ItEndsAfterTheHandOver_GoesOnOnlyWithAWonSwap(PairEvent end)
    {
        var keeper = HandedOff();
        var revision = keeper.State.RoleRevision;

        keeper.When(end).IsIn(PairPhase.GoingSolo);
        Assert.Equal((revision, RoleState.Running, A), (keeper.Sent.ExpectedRevision, keeper.Sent.Next.State, keeper.Sent.Next.Primary));
        Assert.Single(keeper.Effects);

        keeper.Wins().IsIn(PairPhase.Alone);
        Assert.IsType<PairEffect.EndMigration>(Assert.Single(keeper.Effects));
        Assert.False(keeper.State.IsHandedOver);
    }

    [Fact]
    public void Source_TheDestinationIsTooSlow_TakesItBackBySwap() => Assert.Equal(A, TakingBack().IsIn(PairPhase.GoingSolo).Sent.Next.Primary);

    [Fact]
    public void Source_ItsSwapIsLostToTheDestination_KeepsItsCopyUntilItIsTooLate()
    {
        var keeper = TakingBack().Loses(RoleRunning(B)).IsIn(PairPhase.Yielding).Does(new PairEffect.WatchRole());
        keeper.When(new PairEvent.TakeoverOverdue()).IsIn(PairPhase.Yielding).DoesNothing();
        keeper.When(new PairEvent.LinkDown("reset")).IsIn(PairPhase.Yielding).DoesNothing();
        keeper.When(new PairEvent.TakeoverOverdue()).IsIn(PairPhase.Yielding).Does(new PairEffect.ReadRole());
        keeper.When(Answer(keeper, B, 201)).IsIn(PairPhase.Gone);
    }

    [Fact]
    public void Source_ItsSwapIsLostToADestinationThatHasSaidItsLastWord_LooksOnceMoreAndLeaves()
    {
        foreach (var keeper in (PairScript[])[HandedOff().When(new PairEvent.Dismissed("it runs here")), TakingBack().When(new PairEvent.Dismissed("it runs here"))])
        {
            keeper.IsIn(PairPhase.GoingSolo).Loses(RoleRunning(B)).IsIn(PairPhase.Yielding).Does(new PairEffect.WatchRole(), new PairEffect.ReadRole());
            keeper.When(Answer(keeper, B, keeper.State.RoleRevision)).IsIn(PairPhase.Gone);
        }
    }

    [Fact]
    public void Source_ItsSwapIsLostToADestinationThatIsCutOff_IsGivenUpInTime()
    {
        foreach (var keeper in (PairScript[])[HandedOff().When(new PairEvent.LinkDown("reset")), TakingBack().When(new PairEvent.LinkDown("reset"))])
        {
            keeper.Loses(RoleRunning(B)).IsIn(PairPhase.Yielding).Does(new PairEffect.WatchRole());
            keeper.When(new PairEvent.TakeoverOverdue()).Does(new PairEffect.ReadRole());
        }
    }

    [Fact]
    public void Source_ThatLostAStandbyBefore_BelievesThatTheDestinationIsThere()
    {
        var keeper = Syncing().Acknowledged(0).When(new PairEvent.LinkDown("reset")).Loses(RoleRunning(A)).IsIn(PairPhase.Alone);
        Assert.True(keeper.State.PeerLost);
        Assert.False(keeper.When(new PairEvent.MigrateRequested(B)).State.PeerLost);
    }

    [Fact]
    public void Source_ItsSwapIsUnknown_StaysStopped()
    {
        var keeper = TakingBack();
        keeper.When(new PairEvent.SwapUnknown(keeper.Pending.Next.Nonce, "no answer")).IsIn(PairPhase.GoingSolo).Does(new PairEffect.SwapRole(keeper.Pending, Again: true));
    }

    [Fact]
    public void Source_TheRoleNamesTheDestination_KeepsItsCopyUntilTheGuestRunsThere()
    {
        var keeper = Yielding().IsIn(PairPhase.Yielding).DoesNothing();
        keeper.When(new PairEvent.TakeoverOverdue()).IsIn(PairPhase.Yielding).DoesNothing();
        keeper.When(new PairEvent.Dismissed("it runs here")).IsIn(PairPhase.Yielding).Does(new PairEffect.ReadRole());
        // A look that was under way when the destination said so.
        keeper.When(new PairEvent.RoleRead(RoleRunning(B), 200, PairEvent.RoleRead.Watched)).IsIn(PairPhase.Yielding).DoesNothing();
        Assert.IsType<PairEffect.Leave>(Assert.Single(keeper.When(Answer(keeper, B, 200)).IsIn(PairPhase.Gone).Effects));
    }

    [Fact]
    public void Source_TheDestinationIsCutOffAfterItWon_IsGivenUpInTime()
    {
        var keeper = Yielding().When(new PairEvent.LinkDown("silent")).IsIn(PairPhase.Yielding).DoesNothing();
        keeper.When(new PairEvent.TakeoverOverdue()).IsIn(PairPhase.Yielding).Does(new PairEffect.ReadRole());
        keeper.When(new PairEvent.ReadFailed("no answer", keeper.State.Question)).IsIn(PairPhase.Yielding).DoesNothing();
        keeper.When(new PairEvent.TakeoverOverdue()).Does(new PairEffect.ReadRole());
        keeper.When(Answer(keeper, B, 200)).IsIn(PairPhase.Gone);
    }

    [Fact]
    public void Source_TheRoleIsGivenBack_RunsOn()
    {
        PairScript[] all = [Yielding(), Yielding().When(new PairEvent.LinkDown("reset")), TakingBack().Loses(RoleRunning(B)), Yielding().When(new PairEvent.Dismissed("it died here"))];
        foreach (var keeper in all)
        {
            keeper.When(new PairEvent.RoleRead(RoleRunning(A), 300, PairEvent.RoleRead.Watched)).IsIn(PairPhase.Alone);
            Assert.IsType<PairEffect.EndMigration>(Assert.Single(keeper.Effects));
            Assert.Equal((300, false, false), (keeper.State.RoleRevision, keeper.State.IsHandedOver, keeper.State.PeerLost));
        }
    }

    [Fact]
    public void Source_StoppedOrCancelledWhileTheDestinationIsAboutToRunIt_WaitsForTheRole()
    {
        foreach (PairEvent e in (PairEvent[])[new PairEvent.StopRequested(), new PairEvent.MigrationCancelled()])
        {
            Yielding().When(e).IsIn(PairPhase.Yielding).DoesNothing();
        }
    }

    [Fact]
    public void Source_ItsCopyDiesWhileTheDestinationIsAboutToRunIt_Leaves() =>
        Assert.IsType<PairEffect.Leave>(Assert.Single(Yielding().When(new PairEvent.QemuExited("signal 9")).IsIn(PairPhase.Gone).Effects));

    [Fact]
    public void Source_TheRoleIsStillItsOwn_Waits() =>
        HandedOff().When(new PairEvent.RoleRead(RoleRunning(A), 200, PairEvent.RoleRead.Watched)).IsIn(PairPhase.HandedOff).DoesNothing();

    [Fact]
    public void Source_ItsSwapIsLostToSomethingUndecided_BelievesNoLookFromBefore()
    {
        var keeper = TakingBack().Loses(new Role(9, RoleState.Taking, B, new Member(A.Host, Core.Incarnation.Create("c1")), "n-other", "b is silent")).IsIn(PairPhase.Frozen);
        keeper.When(new PairEvent.RoleRead(RoleRunning(A), keeper.State.RoleRevision - 1, PairEvent.RoleRead.Watched)).IsIn(PairPhase.Frozen).DoesNothing();
    }

    [Fact]
    public void Source_StoppedWhileItMoves_UndoesTheMoveAndIsAsked() =>
        // The keeper asks again when the guest is alone.
        Assert.IsType<PairEffect.EndMigration>(Assert.Single(Moving().When(new PairEvent.StopRequested()).IsIn(PairPhase.Alone).Effects));

    [Fact]
    public void Source_StoppedAfterTheHandOver_WaitsForTheRole() => HandedOff().When(new PairEvent.StopRequested()).IsIn(PairPhase.HandedOff).DoesNothing();

    [Fact]
    public void Source_GuestDiesWhileItMoves_SendsTheDestinationAway()
    {
        var keeper = Moving().When(new PairEvent.QemuExited("signal 9")).IsIn(PairPhase.Gone);
        Assert.Equal(["TellDismiss", "Leave"], keeper.Effects.Select(e => e.GetType().Name));
    }

    [Fact]
    public void Source_GuestDiesAfterTheHandOver_LeavesTheDestinationToIt() =>
        Assert.IsType<PairEffect.Leave>(Assert.Single(HandedOff().When(new PairEvent.QemuExited("signal 9")).IsIn(PairPhase.Gone).Effects));

    [Fact]
    public void Source_WordOfAnEndedMove_MeansNothing()
    {
        var keeper = Moving().When(new PairEvent.MigrationCancelled());
        foreach (PairEvent late in (PairEvent[])[new PairEvent.StreamSent(), new PairEvent.SwitchoverReached(), new PairEvent.MigrationFailed("late"), new PairEvent.LinkDown("late"), new PairEvent.MigrationCancelled()])
        {
            keeper.When(late).IsIn(PairPhase.Alone).DoesNothing();
        }
    }

    [Fact]
    public void Destination_StateAndWord_InAnyOrder_SwapTheRevisionThatWasHandedOver()
    {
        var word = new PairEvent.HandedOver(RoleRunning(A), HandedOverAt);
        foreach (var keeper in (PairScript[])[
            Arriving().When(word).IsIn(PairPhase.Arriving).DoesNothing().When(new PairEvent.Arrived()),
            Arriving().When(new PairEvent.Arrived()).IsIn(PairPhase.Arriving).DoesNothing().When(word)])
        {
            keeper.IsIn(PairPhase.Landing);
            Assert.Equal((HandedOverAt, RoleState.Running, B), (keeper.Sent.ExpectedRevision, keeper.Sent.Next.State, keeper.Sent.Next.Primary));
            Assert.Single(keeper.Effects);
        }
    }

    [Fact]
    public void Destination_SwapWon_RunsTheGuestThenOpensItsNetwork()
    {
        var keeper = Resuming().IsIn(PairPhase.Resuming).Does(new PairEffect.RunGuest());
        Assert.Equal(["OpenNetwork", "TellDismiss"], keeper.When(new PairEvent.GuestRuns()).IsIn(PairPhase.Alone).Effects.Select(e => e.GetType().Name));
    }

    [Fact]
    public void Destination_TheGuestDoesNotRun_GivesItBackBySwap()
    {
        foreach (PairEvent end in (PairEvent[])[new PairEvent.GuestCouldNotRun("an assertion failed"), new PairEvent.QemuExited("signal 6")])
        {
            var keeper = Resuming();
            var won = keeper.State.RoleRevision;
            keeper.When(end).IsIn(PairPhase.Returning);
            Assert.Equal(["StopGuest", "SwapRole"], keeper.Effects.Select(e => e.GetType().Name));
            Assert.Equal((won, RoleState.Running, A, null), (keeper.Sent.ExpectedRevision, keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
            // It had run for a moment, or the other news of its end.
            keeper.When(new PairEvent.GuestRuns()).IsIn(PairPhase.Returning).DoesNothing();
            keeper.When(new PairEvent.GuestCouldNotRun("closed")).IsIn(PairPhase.Returning).DoesNothing();
            Assert.Equal(["TellDismiss", "Leave"], keeper.Wins().IsIn(PairPhase.Gone).Effects.Select(e => e.GetType().Name));
        }
    }

    [Fact]
    public void Destination_GivingBackIsLost_Leaves() => Returning().Loses(RoleRunning(A)).IsIn(PairPhase.Gone);

    [Fact]
    public void Destination_SwapLost_Leaves() => Landing().Loses(RoleRunning(A)).IsIn(PairPhase.Gone);

    [Fact]
    public void Destination_SwapUnknown_RunsNothing()
    {
        var keeper = Landing();
        keeper.When(new PairEvent.SwapUnknown(keeper.Pending.Next.Nonce, "no answer")).IsIn(PairPhase.Landing).Does(new PairEffect.SwapRole(keeper.Pending, Again: true));
    }

    [Fact]
    public void Destination_SwapNotSentForItsQemuIsDead_TellsTheSource()
    {
        var keeper = Landing();
        keeper.When(new PairEvent.SwapUnsent(keeper.Pending.Next.Nonce, "dead")).IsIn(PairPhase.Gone);
        Assert.Equal(["TellDismiss", "Leave"], keeper.Effects.Select(e => e.GetType().Name));
    }

    [Fact]
    public void Destination_GuestDiesWhileTheSwapIsUnderWay_AwaitsItsOutcome()
    {
        var keeper = Landing().When(new PairEvent.QemuExited("signal 9")).IsIn(PairPhase.Landing).DoesNothing();
        Assert.Equal(A, keeper.Wins().IsIn(PairPhase.Returning).Sent.Next.Primary);
    }

    public static TheoryData<PairEvent> Nothings => new(
        new PairEvent.StopRequested(), new PairEvent.Dismissed("go"), new PairEvent.ArrivalFailed("sent away"), new PairEvent.SentAway("sent away"), new PairEvent.LinkDown("closed"), new PairEvent.PeerSilent(200),
        new PairEvent.TakeoverOverdue(), new PairEvent.RoleRead(RoleRunning(A), 300, PairEvent.RoleRead.Watched));

    [Theory]
    [MemberData(nameof(Nothings))]
    public void Destination_Landing_OnlyTheSwapDecides(PairEvent e) => Landing().When(e).IsIn(PairPhase.Landing).DoesNothing();

    [Theory]
    [MemberData(nameof(Nothings))]
    public void Destination_Resuming_OnlyTheGuestDecides(PairEvent e) => Resuming().When(e).IsIn(PairPhase.Resuming).DoesNothing();

    [Theory]
    [MemberData(nameof(Nothings))]
    public void Destination_Returning_OnlyTheSwapDecides(PairEvent e) => Returning().When(e).IsIn(PairPhase.Returning).DoesNothing();

    [Fact]
    public void Destination_SentAwayAfterItLanded_KeepsItsGuest() =>
        Resuming().When(new PairEvent.GuestRuns()).When(new PairEvent.SentAway("sent away by its agent")).IsIn(PairPhase.Alone).DoesNothing();

    public static TheoryData<PairEvent> Failures => new(new PairEvent.ArrivalFailed("refused"), new PairEvent.QemuExited("signal 9"), new PairEvent.StopRequested());

    [Theory]
    [MemberData(nameof(Failures))]
    public void Destination_ItCannotTakeItIn_TellsTheSourceAndLeaves(PairEvent e)
    {
        foreach (var keeper in (PairScript[])[NewDestination(), Arriving(), Arriving().When(new PairEvent.HandedOver(RoleRunning(A), HandedOverAt))])
        {
            Assert.Equal(["TellDismiss", "Leave"], keeper.When(e).IsIn(PairPhase.Gone).Effects.Select(f => f.GetType().Name));
        }
    }

    [Fact]
    public void Destination_SourceIsGoneBeforeTheHandOver_Leaves() => Arriving().When(new PairEvent.Arrived()).When(new PairEvent.LinkDown("reset")).IsIn(PairPhase.Gone);

    [Fact]
    public void Destination_SourceIsGoneAfterTheHandOver_GoesOn()
    {
        var keeper = Arriving().When(new PairEvent.HandedOver(RoleRunning(A), HandedOverAt)).When(new PairEvent.LinkDown("reset")).IsIn(PairPhase.Arriving).DoesNothing();
        keeper.When(new PairEvent.Arrived()).IsIn(PairPhase.Landing);
    }

    [Fact]
    public void Destination_Expecting_LeavesWhenNobodyComes() => NewDestination().When(new PairEvent.Dismissed("no source came")).IsIn(PairPhase.Gone);
}
