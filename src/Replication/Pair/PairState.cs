using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <summary>Where a keeper stands. The first group is the primary's side, the second the standby's.</summary>
public enum PairPhase
{
    /// <summary>Asks for the role before it starts or adopts a guest.</summary>
    Claiming,

    /// <summary>The guest runs here, alone; its frames pass.</summary>
    Alone,

    /// <summary>A standby is being filled. Frames are held from the cut of checkpoint 0 on.</summary>
    Syncing,

    /// <summary>The standby holds checkpoint 0; the swap to <c>protected</c> is under way.</summary>
    Protecting,

    /// <summary>Frames leave at their epoch's commit.</summary>
    Protected,

    /// <summary>Was late itself: releases nothing before it knows that the role is still its own (rule 8).</summary>
    Verifying,

    /// <summary>A planned takeover: the last checkpoint is being cut and committed.</summary>
    HandingOver,

    /// <summary>The standby is lost; frames and guest are held until the swap to <c>running</c> is decided.</summary>
    GoingSolo,

    /// <summary>The standby is taking over, or may be: nothing moves until the role says who runs (rule 5).</summary>
    Frozen,

    /// <summary>Live migration: the state travels; the guest runs here, or is stopped for the rest of it.</summary>
    Moving,

    /// <summary>Live migration: the destination has everything and may swap the role; the guest stays stopped until the role says who runs.</summary>
    HandedOff,

    /// <summary>Live migration: the role names the destination. The guest stays here, stopped, until it runs there: a destination that cannot let it run gives it back.</summary>
    Yielding,

    /// <summary>The user stops the VM; the swap to <c>stopped</c> is under way.</summary>
    Stopping,

    /// <summary>Waits for a primary to connect.</summary>
    Waiting,

    /// <summary>Receives the first full copy.</summary>
    Receiving,

    /// <summary>Checkpoint 0 is acknowledged; the role may or may not say <c>protected</c> yet.</summary>
    Ready,

    /// <summary>Stands by for a protected primary.</summary>
    Standing,

    /// <summary>Suspects the primary and reads the role; still acknowledges (rule 3).</summary>
    Deciding,

    /// <summary>Sealed: no acknowledgement any more; the swap to <c>taking</c> is under way.</summary>
    Taking,

    /// <summary>Won; the device state is being loaded.</summary>
    Loading,

    /// <summary>The guest runs, its frames are held until the swap to <c>running</c> is confirmed (rule 5).</summary>
    Confirming,

    /// <summary>QEMU refused the state; the swap back to the old primary is under way.</summary>
    SwappingBack,

    /// <summary>Live migration: waits for the source to connect.</summary>
    Expecting,

    /// <summary>Live migration: receives the guest's state.</summary>
    Arriving,

    /// <summary>Live migration: all is here and handed over; the guest is stopped, the swap to run it is under way.</summary>
    Landing,

    /// <summary>Live migration: won; QEMU is told to let the guest run, whose frames wait.</summary>
    Resuming,

    /// <summary>Live migration: won, but the guest does not run here; the swap that gives it back to the source is under way.</summary>
    Returning,

    /// <summary>Nothing is left to do; the process cleans up and ends.</summary>
    Gone,
}

/// <summary>A swap that is not decided yet. Repeats send the same one (rule 2).</summary>
public sealed record PendingSwap(long ExpectedRevision, Role Next);

/// <summary>All that the pair's protocol remembers. Immutable; <see cref="PairMachine.Step"/> makes the next one.</summary>
public sealed record PairState
{
    public required Member Me { get; init; }
    public required PairPhase Phase { get; init; }

    /// <summary>The other side, once known.</summary>
    public Member? Peer { get; init; }

    /// <summary>The role as last read or won, and the store's revision of it.</summary>
    public Role? Role { get; init; }
    public long RoleRevision { get; init; }
    public PendingSwap? Pending { get; init; }

    /// <summary>Counts the swaps of this incarnation; makes each nonce new.</summary>
    public long Swaps { get; init; }

    /// <summary>Counts the reads of the role that were asked for; only the last one's answer is heard.</summary>
    public long Question { get; init; }

    /// <summary>Primary: the highest epoch acknowledged to it. Standby: the highest it acknowledged.</summary>
    public Epoch Acknowledged { get; init; } = Epoch.None;

    /// <summary>Standby: the highest epoch that is whole here.</summary>
    public Epoch Whole { get; init; } = Epoch.None;

    /// <summary>Primary, verifying: an acknowledgement of a later epoch than this proves that the standby is not sealed.</summary>
    public Epoch VerifyAfter { get; init; } = Epoch.None;

    /// <summary>
    /// Primary, protecting, handing over or going solo: it was late itself, so acknowledgements release nothing before the role was read or
    /// its own swap is decided (rule 8).
    /// </summary>
    public bool IsLate { get; init; }

    /// <summary>Primary, handing over: the last epoch, once it is cut.</summary>
    public Epoch? Final { get; init; }

    /// <summary>
    /// Primary: the standby was lost while another question was open. Source of a migration, after the hand-over: the link to the destination is. Standby: the primary is lost for more than silence, so that
    /// a heartbeat alone does not bring it back.
    /// </summary>
    public bool PeerLost { get; init; }

    /// <summary>Standby, loading or confirming, or destination, landing: why the guest that came here is dead already, if it is. The swap's outcome is awaited all the same.</summary>
    public string? GuestDied { get; init; }

    /// <summary>
    /// Live migration. Source, going solo or yielding: the guest was handed over, so that the migration is to be undone. Destination: the source has told that it is.
    /// </summary>
    public bool IsHandedOver { get; init; }

    /// <summary>Source of a migration, after the hand-over: the destination has said its last word, and will not swap any more.</summary>
    public bool HasLastWord { get; init; }

    /// <summary>Destination: the guest's state is loaded, the guest is stopped.</summary>
    public bool HasArrived { get; init; }

    /// <summary>The guest to take charge of exists already (its keeper died).</summary>
    public bool Adopting { get; init; }

    /// <summary>Why the keeper is in this phase, for people.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Waits for a guest that moves here.</summary>
    public bool IsDestination => Phase is >= PairPhase.Expecting and <= PairPhase.Returning;

    public bool IsStandby => Phase is >= PairPhase.Waiting and < PairPhase.Gone;

    /// <summary>A keeper that shall run a guest: it claims the role first.</summary>
    public static PairState ForPrimary(Member me, bool adopting) =>
        new() { Me = me, Phase = PairPhase.Claiming, Adopting = adopting, Reason = adopting ? "adopting the guest" : "starting" };

    /// <summary>A keeper to which a guest shall move.</summary>
    public static PairState ForDestination(Member me) =>
        new() { Me = me, Phase = PairPhase.Expecting, Reason = "waiting for the source" };

    /// <summary>A keeper that shall stand by.</summary>
    public static PairState ForStandby(Member me) =>
        new() { Me = me, Phase = PairPhase.Waiting, Reason = "waiting for the primary" };
}
