using Pollux.Core;
using Pollux.Replication.Pair;
using static Pollux.Unit.Tests.Replication.Pair.PairScript;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>The rules of the pair on the side that stands by. Numbers are the rules'.</summary>
public sealed class StandbyTests
{
    [Fact]
    public void Rule4_CheckpointZero_IsAcknowledgedOnlyAfterARehearsal()
    {
        var keeper = NewStandby().When(new PairEvent.PrimaryConnected(A)).IsIn(PairPhase.Receiving);
        keeper.Whole(0).Does(new PairEffect.Rehearse());
        keeper.Whole(1).DoesNothing();
        keeper.When(new PairEvent.Rehearsed()).IsIn(PairPhase.Ready).Does(new PairEffect.Acknowledge(new Epoch(1)));
    }

    [Fact]
    public void Rule4_AFailedRehearsal_DismissesThePrimary()
    {
        var keeper = NewStandby().When(new PairEvent.PrimaryConnected(A)).Whole(0).When(new PairEvent.RehearsalFailed("QEMU refuses")).IsIn(PairPhase.Gone);
        Assert.Equal(["TellDismiss", "Leave"], keeper.Effects.Select(e => e.GetType().Name));
    }

    public static TheoryData<PairEvent> Suspicions => new(
        new PairEvent.LinkDown("reset"), new PairEvent.PeerSilent(150), new PairEvent.PrimaryDown("its QEMU was killed"), new PairEvent.TakeNow());

    [Theory]
    [MemberData(nameof(Suspicions))]
    public void Rule3_ASuspicion_ReadsTheRoleBeforeItSealsAndSwaps(PairEvent suspicion)
    {
        var keeper = Standing().When(suspicion).IsIn(PairPhase.Deciding).Does(new PairEffect.ReadRole());
        keeper.Whole(4).Does(new PairEffect.Acknowledge(new Epoch(4)));

        keeper.When(new PairEvent.RoleRead(RoleProtected(), 7)).IsIn(PairPhase.Taking);
        Assert.Equal((7, RoleState.Taking, A, B), (keeper.Sent.ExpectedRevision, keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
    }

    [Theory]
    [MemberData(nameof(Suspicions))]
    public void Rule4_AnUnfinishedStandby_NeverTakesOver(PairEvent suspicion)
    {
        var keeper = NewStandby().When(new PairEvent.PrimaryConnected(A)).Whole(0).When(suspicion).IsIn(PairPhase.Gone);
        Assert.DoesNotContain(keeper.Effects, e => e is PairEffect.SwapRole);
    }

    [Fact]
    public void Rule3_ASealedStandby_AcknowledgesNothingAndTakesNothingMore()
    {
        var keeper = Taking().Whole(4).DoesNothing();
        Assert.Equal(new Epoch(3), keeper.State.Whole);
        keeper.Wins().IsIn(PairPhase.Loading).Does(new PairEffect.Load(new Epoch(3)));
    }

    [Fact]
    public void Rule3_AnOutageOfEtcd_DoesNotStallAHealthyPair()
    {
        var keeper = Deciding().When(new PairEvent.ReadFailed("no answer")).Does(new PairEffect.ReadRole(Again: true));
        keeper.Whole(4).Does(new PairEffect.Acknowledge(new Epoch(4)));
        keeper.When(new PairEvent.PeerHeard()).IsIn(PairPhase.Standing);
        keeper.When(new PairEvent.RoleRead(RoleProtected(), 7)).IsIn(PairPhase.Standing).DoesNothing();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rule8_AHeartbeat_DoesNotBringBackAPrimaryThatIsLostForMoreThanSilence(bool linkDownFirst)
    {
        var keeper = Standing();
        keeper = linkDownFirst
            ? keeper.When(new PairEvent.LinkDown("reset"))
            : keeper.When(new PairEvent.PeerSilent(150)).When(new PairEvent.LinkDown("reset"));
        keeper.When(new PairEvent.PeerHeard()).IsIn(PairPhase.Deciding);
    }

    [Fact]
    public void Rule1_AStandbyThatTheRoleDoesNotName_Leaves()
    {
        var later = B with { Incarnation = Incarnation.Create("b2") };
        Deciding().When(new PairEvent.RoleRead(RoleProtected() with { Standby = later }, 7)).IsIn(PairPhase.Gone);
        Deciding().When(new PairEvent.RoleRead(RoleRunning(A), 7)).IsIn(PairPhase.Gone);
        Deciding().When(new PairEvent.RoleRead(null, 0)).IsIn(PairPhase.Gone);
    }

    [Fact]
    public void Rule1_AStandbyThatLosesTheSwap_KeepsNothing()
    {
        var keeper = Taking().Loses(RoleRunning(A)).IsIn(PairPhase.Gone);
        Assert.IsType<PairEffect.Leave>(Assert.Single(keeper.Effects));
    }

    [Fact]
    public void Rule5_TheNetworkOpens_OnlyWhenRunningIsConfirmed()
    {
        var keeper = Loading().When(new PairEvent.Loaded()).IsIn(PairPhase.Confirming);
        Assert.Equal((RoleState.Running, B, null), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
        Assert.Single(keeper.Effects);

        keeper.When(new PairEvent.SwapUnknown(keeper.Pending.Next.Nonce, "timed out")).IsIn(PairPhase.Confirming);
        Assert.IsType<PairEffect.SwapRole>(Assert.Single(keeper.Effects));
        keeper.Wins().IsIn(PairPhase.Alone).Does(new PairEffect.OpenNetwork());
    }

    [Fact]
    public void Rule5_AStateThatQemuRefuses_GoesBackToTheOldPrimary()
    {
        var keeper = Loading().When(new PairEvent.LoadFailed("no such device")).IsIn(PairPhase.SwappingBack);
        Assert.Equal((RoleState.Running, A, null), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
        keeper.Wins().IsIn(PairPhase.Gone);
    }

    /// <summary>The primary's swap that names it may have won after its agent looked.</summary>
    [Fact]
    public void AStandbyThatHasAcknowledged_IsNotSentAway()
    {
        Ready().When(new PairEvent.SentAway("unprotected")).IsIn(PairPhase.Ready).DoesNothing();
        Standing().When(new PairEvent.SentAway("unprotected")).IsIn(PairPhase.Standing).DoesNothing();
        Ready().When(new PairEvent.Dismissed("unprotected")).IsIn(PairPhase.Gone);
    }

    /// <summary>Its agent looked at the role a moment before it took over.</summary>
    [Fact]
    public void ATaker_IsNotSentAway()
    {
        Loading().When(new PairEvent.SentAway("unprotected")).IsIn(PairPhase.Loading).DoesNothing();
        Confirming().When(new PairEvent.SentAway("unprotected")).IsIn(PairPhase.Confirming).DoesNothing();
    }

    [Fact]
    public void Rule5_AGuestThatDiedWhileItWasLoaded_GoesBackToTheOldPrimary()
    {
        var keeper = Loading().When(new PairEvent.QemuExited("killed by signal 9")).IsIn(PairPhase.Loading);
        keeper.When(new PairEvent.Loaded()).IsIn(PairPhase.SwappingBack);
        Assert.Equal((RoleState.Running, A, null), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
    }

    [Fact]
    public void Rule5_AGuestThatDiedBeforeTheSwapToRunningWasSent_GoesBackToTheOldPrimary()
    {
        var keeper = Confirming();
        keeper.When(new PairEvent.SwapUnsent("another", "it died")).IsIn(PairPhase.Confirming).DoesNothing();
        keeper.When(new PairEvent.SwapUnsent(keeper.Pending.Next.Nonce, "it died")).IsIn(PairPhase.SwappingBack);
        Assert.Equal((RoleState.Running, A, null), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
    }

    [Fact]
    public void Rule5_AGuestThatDiedBeforeTheConfirmation_IsNotCalledRunning()
    {
        var keeper = Confirming().When(new PairEvent.QemuExited("killed by signal 9")).IsIn(PairPhase.Confirming);
        keeper.Wins().IsIn(PairPhase.Gone);
        Assert.DoesNotContain(new PairEffect.OpenNetwork(), keeper.Effects);
    }

    [Fact]
    public void AStandbyWhoseMemoryIsWrong_LeavesAndTakesNothing()
    {
        var wrong = new PairEvent.Dismissed("scrub: after epoch 3 the standby's memory is not the primary's");
        foreach (var keeper in (PairScript[])[Ready(), Standing(), Deciding(), Standing().When(new PairEvent.PrimaryDown("its QEMU was killed"))])
        {
            keeper.When(wrong).IsIn(PairPhase.Gone).Does(new PairEffect.Leave(wrong.Why));
        }
    }

    [Fact]
    public void AStandbyWhoseMemoryIsFoundWrongWhileItTakesOver_GoesBackToTheOldPrimary()
    {
        // Unknown moves nothing: the swap under way is decided first, then the image refuses to be loaded.
        var wrong = new PairEvent.Dismissed("scrub: after epoch 3 the standby's memory is not the primary's");
        var keeper = Taking().When(wrong).IsIn(PairPhase.Taking).DoesNothing();
        keeper.Wins().IsIn(PairPhase.Loading).When(wrong).IsIn(PairPhase.Loading).DoesNothing();
        keeper.When(new PairEvent.LoadFailed(wrong.Why)).IsIn(PairPhase.SwappingBack);
        Assert.Equal((RoleState.Running, A, null), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
    }

    [Fact]
    public void AStandbyWhoseQemuDies_SaysSoAndLeaves()
    {
        // Also while it asks who runs the VM: heard again, the primary would be protected by a standby without a QEMU.
        foreach (var keeper in (PairScript[])[Standing(), Deciding()])
        {
            keeper.When(new PairEvent.QemuExited("killed by signal 9")).IsIn(PairPhase.Gone);
            Assert.Equal(["TellDismiss", "Leave"], keeper.Effects.Select(e => e.GetType().Name));
        }
    }

    [Fact]
    public void AStandbyThatTookOver_CanBeProtectedInTurn()
    {
        var keeper = Confirming().Wins().When(new PairEvent.ProtectRequested(A)).IsIn(PairPhase.Syncing);
        keeper.When(new PairEvent.FirstCut()).Acknowledged(0).IsIn(PairPhase.Protecting);
        Assert.Equal((RoleState.Protected, B, A), (keeper.Sent.Next.State, keeper.Sent.Next.Primary, keeper.Sent.Next.Standby));
    }
}
