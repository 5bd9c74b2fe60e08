using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>One keeper's state machine and what it last decided, with the store's part played by the test.</summary>
internal sealed class PairScript
{
    public static readonly Member A = new(HostId.Create("a"), Incarnation.Create("a1"));
    public static readonly Member B = new(HostId.Create("b"), Incarnation.Create("b1"));

    private long _revision = 100;

    private PairScript(PairState state) => State = state;

    public PairState State { get; private set; }
    public IReadOnlyList<PairEffect> Effects { get; private set; } = [];

    public PendingSwap Pending => State.Pending ?? throw new InvalidOperationException($"no swap is pending in {State.Phase}");

    /// <summary>The swap that the last step sent.</summary>
    public PendingSwap Sent => Assert.Single(Effects.OfType<PairEffect.SwapRole>()).Swap;

    public static PairScript NewPrimary(bool adopting = false) => new(PairState.ForPrimary(A, adopting));

    public static PairScript NewStandby() => new(PairState.ForStandby(B));

    /// <summary>B waits for a guest that moves to it.</summary>
    public static PairScript NewDestination() => new(PairState.ForDestination(B));

    /// <summary>A runs the guest alone.</summary>
    public static PairScript Alone()
    {
        var script = NewPrimary().When(new PairEvent.Started()).When(new PairEvent.RoleRead(null, 0));
        return script.Wins();
    }

    /// <summary>A fills B; checkpoint 0 is cut and under way.</summary>
    public static PairScript Syncing() => Alone().When(new PairEvent.ProtectRequested(B)).When(new PairEvent.FirstCut());

    /// <summary>A is protected by B, which has acknowledged checkpoint 0.</summary>
    public static PairScript Protected() => Syncing().Acknowledged(0).Wins();

    /// <summary>A has handed over to B after epoch 5 and waits.</summary>
    public static PairScript HandedOver() =>
        Protected().When(new PairEvent.TakeoverRequested()).When(new PairEvent.FinalCut(new Epoch(5))).Acknowledged(5);

    /// <summary>B holds checkpoint 0, rehearsed and acknowledged.</summary>
    public static PairScript Ready() => NewStandby().When(new PairEvent.PrimaryConnected(A)).Whole(0).When(new PairEvent.Rehearsed());

    /// <summary>B stands by for a protected A and has acknowledged epoch 3.</summary>
    public static PairScript Standing() => Ready().When(new PairEvent.ProtectionTold()).Whole(1).Whole(2).Whole(3);

    /// <summary>B has heard nothing of A and reads the role.</summary>
    public static PairScript Deciding() => Standing().When(new PairEvent.PeerSilent(150));

    /// <summary>B has sealed and sent its swap to taking.</summary>
    public static PairScript Taking() => Deciding().When(new PairEvent.RoleRead(RoleProtected(), 7));

    /// <summary>B has won and loads.</summary>
    public static PairScript Loading() => Taking().Wins();

    /// <summary>B runs the guest and waits for the confirmation of running.</summary>
    public static PairScript Confirming() => Loading().When(new PairEvent.Loaded());

    public static Role RoleProtected() => new(4, RoleState.Protected, A, B, "n-protected", "b holds checkpoint 0");

    public static Role RoleTaking() => new(5, RoleState.Taking, A, B, "n-taking", "a is silent");

    public static Role RoleRunning(Member primary) => new(6, RoleState.Running, primary, null, "n-running", $"{primary.Host} runs");

    public PairScript When(PairEvent e)
    {
        (State, Effects) = PairMachine.Step(State, e);
        return this;
    }

    public PairScript Acknowledged(long epoch) => When(new PairEvent.Acknowledged(new Epoch(epoch)));

    public PairScript Whole(long epoch) => When(new PairEvent.EpochWhole(new Epoch(epoch)));

    public PairScript Wins() => When(new PairEvent.SwapWon(Pending.Next.Nonce, ++_revision));

    public PairScript Loses(Role? current) => When(new PairEvent.SwapLost(Pending.Next.Nonce, current, ++_revision, LeaseGone: false));

    public PairScript IsIn(PairPhase phase)
    {
        Assert.Equal(phase, State.Phase);
        return this;
    }

    public PairScript DoesNothing()
    {
        Assert.Empty(Effects);
        return this;
    }

    /// <summary>The last step decided just these, in this order.</summary>
    public PairScript Does(params PairEffect[] effects)
    {
        Assert.Equal(effects, Effects);
        return this;
    }
}
