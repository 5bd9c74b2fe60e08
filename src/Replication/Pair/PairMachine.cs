namespace Pollux.Replication.Pair;

/// <summary>What follows from an event.</summary>
public readonly record struct Transition(PairState State, IReadOnlyList<PairEffect> Effects);

/// <summary>
/// The protocol of the pair: one pure function, no clock, no socket, no thread. Both sides run it; a standby that took over goes on
/// in the primary's half of it. The numbers are those of the rules of the pair (docs/pair.md).
///
/// What it guarantees, given an edge that carries out effects in order:
///   - nobody goes on alone without a won swap of the role (1), and an unknown outcome moves nothing (2);
///   - the standby acknowledges nothing between its decision to swap and the proof that the swap cannot win (3);
///   - a frame leaves only when its epoch is acknowledged and the role said <c>protected</c>, or after a won swap to run alone (4);
///   - the loser of a takeover is frozen until <c>running</c> is written and only then thrown away; the winner's frames wait for it (5);
///   - every swap requires the own host's lease (6).
/// Events that mean nothing in a phase are ignored: the link, the store and QEMU report independently of each other.
/// </summary>
public static partial class PairMachine
{
    private static readonly IReadOnlyList<PairEffect> Nothing = [];

    public static Transition Step(PairState state, PairEvent e)
    {
        if (IsStale(state, e))
        {
            return Stay(state);
        }
        var step = Decide(state, e);
        return step.Effects.Any(f => f is PairEffect.ReadRole) ? step with { State = step.State with { Question = state.Question + 1 } } : step;
    }

    /// <summary>
    /// A host may stand still between a question and its answer, and ask anew before it hears the old answer. A look of a watch may be from before the
    /// role was last read or won: its watch began when another guest's fate was open.
    /// </summary>
    private static bool IsStale(PairState state, PairEvent e)
    {
        if (e is PairEvent.RoleRead { Role: not null } look && (look.Question == PairEvent.RoleRead.Watched || state.Phase == PairPhase.Yielding) && look.Revision < state.RoleRevision)
        {
            return true;
        }
        var question = e switch
        {
            PairEvent.RoleRead read => read.Question,
            PairEvent.ReadFailed failed => failed.Question,
            _ => PairEvent.RoleRead.Any,
        };
        return question == PairEvent.RoleRead.Watched ? state.Phase is not (PairPhase.Frozen or PairPhase.HandedOff or PairPhase.Yielding) : question != PairEvent.RoleRead.Any && question != state.Question;
    }

    private static Transition Decide(PairState state, PairEvent e) => e switch
    {
        PairEvent.SwapUnsent unsent => !IsPending(state, unsent.Nonce) ? Stay(state) : state.Phase switch
        {
            PairPhase.Confirming => SwapBack(state with { Pending = null }, unsent.Why),
            PairPhase.Landing => LeaveMove(state, unsent.Why),
            // The role stays as it is: it may name a standby, which has the last commit.
            PairPhase.Claiming => Leave(state, unsent.Why),
            PairPhase.GoingSolo => GuestDied(state, unsent.Why),
            _ => Stay(state),
        },
        PairEvent.SwapWon won => IsPending(state, won.Nonce) ? AfterSwap(Adopt(state, state.Pending!.Next, won.Revision)) : Stay(state),
        PairEvent.SwapLost { LeaseGone: true } lost => IsPending(state, lost.Nonce)
            ? new(state with { Reason = "this host's lease is not alive" }, [new PairEffect.SwapRole(state.Pending!, Again: true)])
            : Stay(state),
        PairEvent.SwapLost lost => IsPending(state, lost.Nonce) ? SwapDecided(state, lost) : Stay(state),
        PairEvent.SwapUnknown unknown => IsPending(state, unknown.Nonce)
            ? new(state with { Reason = $"no arbiter: {unknown.Why}" }, [new PairEffect.SwapRole(state.Pending!, Again: true)])
            : Stay(state),
        _ => state.IsStandby ? StepDestination(state, e) ?? StepStandby(state, e) : StepMoving(state, e) ?? StepPrimary(state, e),
    };

    /// <summary>The comparison failed. If what stands there is ours, an earlier send of the same swap had won.</summary>
    private static Transition SwapDecided(PairState state, PairEvent.SwapLost lost) =>
        lost.Current is { } current && current.Nonce == state.Pending!.Next.Nonce
            ? AfterSwap(Adopt(state, current, lost.Revision))
            : AfterLostSwap(state with { Pending = null }, lost.Current, lost.Revision);

    private static Transition AfterSwap(PairState state) =>
        state.IsStandby ? StandbyWon(state) : PrimaryWon(state);

    private static Transition AfterLostSwap(PairState state, Role? current, long revision) =>
        state.IsStandby ? StandbyLost(state, current) : PrimaryLost(state, current, revision);

    private static bool IsPending(PairState state, string nonce) => state.Pending?.Next.Nonce == nonce;

    private static PairState Adopt(PairState state, Role role, long revision) =>
        state with { Role = role, RoleRevision = revision, Pending = null };

    /// <summary>Prepares a swap from the role as last known. The effect must be emitted with it.</summary>
    private static PairState WithSwap(PairState state, PairPhase phase, RoleState next, Member primary, Member? standby, string reason, bool byGuest = false)
    {
        var role = new Role((state.Role?.Term ?? 0) + 1, next, primary, standby, $"{state.Me.Incarnation}-{state.Swaps}", reason, byGuest);
        return state with
        {
            Phase = phase,
            Pending = new PendingSwap(state.RoleRevision, role),
            Swaps = state.Swaps + 1,
            Reason = reason,
        };
    }

    private static Transition Stay(PairState state) => new(state, Nothing);

    private static Transition Leave(PairState state, string why, params IEnumerable<PairEffect> before) =>
        new(state with { Phase = PairPhase.Gone, Pending = null, Reason = why }, [.. before, new PairEffect.Leave(why)]);
}
