using Pollux.Replication.Pair;
using static Pollux.Unit.Tests.Replication.Pair.PairScript;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>What every swap keeps to, in whichever phase it is sent (rules 2 and 6).</summary>
public sealed class SwapTests
{
    private static readonly Dictionary<PairPhase, Func<PairScript>> Swaps = new()
    {
        [PairPhase.Claiming] = () => NewPrimary().When(new PairEvent.Started()).When(new PairEvent.RoleRead(null, 0)),
        [PairPhase.Protecting] = () => Syncing().Acknowledged(0),
        [PairPhase.GoingSolo] = () => Protected().When(new PairEvent.PeerSilent(150)),
        [PairPhase.Stopping] = () => Protected().When(new PairEvent.StopRequested()),
        [PairPhase.Taking] = Taking,
        [PairPhase.Confirming] = Confirming,
        [PairPhase.Landing] = () => NewDestination().When(new PairEvent.PrimaryConnected(A)).When(new PairEvent.HandedOver(RoleRunning(A), 101)).When(new PairEvent.Arrived()),
        [PairPhase.Returning] = () => NewDestination().When(new PairEvent.PrimaryConnected(A)).When(new PairEvent.HandedOver(RoleRunning(A), 101)).When(new PairEvent.Arrived())
            .Wins().When(new PairEvent.GuestCouldNotRun("no")),
        [PairPhase.SwappingBack] = () => Loading().When(new PairEvent.LoadFailed("no such device")),
    };

    public static TheoryData<PairPhase> Phases => new(Swaps.Keys);

    [Theory]
    [MemberData(nameof(Phases))]
    public void Rule2_AnUnknownOutcome_MovesNothingAndRepeatsTheSameSwap(PairPhase phase)
    {
        var keeper = Swaps[phase]().IsIn(phase);
        var swap = keeper.Pending;

        keeper.When(new PairEvent.SwapUnknown(swap.Next.Nonce, "timed out")).IsIn(phase).Does(new PairEffect.SwapRole(swap, Again: true));
        Assert.Same(swap, keeper.Pending);
    }

    [Theory]
    [MemberData(nameof(Phases))]
    public void Rule2_AComparisonThatFailsOnItsOwnNonce_IsAVictory(PairPhase phase)
    {
        var lost = Swaps[phase]();
        lost.When(new PairEvent.SwapUnknown(lost.Pending.Next.Nonce, "timed out"));
        var won = Swaps[phase]();

        lost.Loses(lost.Pending.Next);
        won.Wins();

        Assert.Equal(won.State.Phase, lost.State.Phase);
        Assert.Equal(won.Effects, lost.Effects);
    }

    [Theory]
    [MemberData(nameof(Phases))]
    public void Rule2_AnAnswerToAnotherSwap_IsIgnored(PairPhase phase)
    {
        var keeper = Swaps[phase]();
        keeper.When(new PairEvent.SwapWon("another", 50)).IsIn(phase).DoesNothing();
        keeper.When(new PairEvent.SwapLost("another", RoleRunning(A), 50, LeaseGone: false)).IsIn(phase).DoesNothing();
        keeper.When(new PairEvent.SwapUnknown("another", "timed out")).IsIn(phase).DoesNothing();
    }

    [Theory]
    [MemberData(nameof(Phases))]
    public void Rule6_ADeadLease_HoldsAndRepeats(PairPhase phase)
    {
        var keeper = Swaps[phase]();
        var swap = keeper.Pending;

        keeper.When(new PairEvent.SwapLost(swap.Next.Nonce, null, 50, LeaseGone: true)).IsIn(phase).Does(new PairEffect.SwapRole(swap, Again: true));
    }

    [Fact]
    public void Rule2_EverySwap_HasATermOfItsOwnAndANewNonce()
    {
        var keeper = Protected();
        var term = keeper.State.Role!.Term;
        var nonce = keeper.State.Role.Nonce;

        keeper.When(new PairEvent.PeerSilent(150));

        Assert.Equal(term + 1, keeper.Sent.Next.Term);
        Assert.NotEqual(nonce, keeper.Sent.Next.Nonce);
    }
}
