using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <summary>Something that happened to a keeper. The edge reports it; <see cref="PairMachine.Step"/> decides what follows.</summary>
public abstract record PairEvent
{
    // The store
    /// <summary>
    /// <paramref name="Question"/>: <see cref="PairState.Question"/> when it was asked, so that an answer from before a later question is not
    /// taken for an answer to it; <see cref="Watched"/>: nobody asked, it is one of the looks of a watch.
    /// </summary>
    public sealed record RoleRead(Role? Role, long Revision, long Question = RoleRead.Any) : PairEvent
    {
        public const long Any = 0;
        public const long Watched = -1;
    }

    public sealed record ReadFailed(string Why, long Question = RoleRead.Any) : PairEvent;
    public sealed record SwapWon(string Nonce, long Revision) : PairEvent;

    /// <summary><paramref name="LeaseGone"/>: the role was as expected, but the own host's lease is not alive (rule 6).</summary>
    public sealed record SwapLost(string Nonce, Role? Current, long Revision, bool LeaseGone) : PairEvent;
    public sealed record SwapUnknown(string Nonce, string Why) : PairEvent;

    /// <summary>It was not sent, and no earlier send of it was: the guest that it would call running is dead.</summary>
    public sealed record SwapUnsent(string Nonce, string Why) : PairEvent;

    // The user, through the agent
    public sealed record Started : PairEvent;
    public sealed record ProtectRequested(Member Standby) : PairEvent;
    public sealed record UnprotectRequested : PairEvent;
    public sealed record TakeoverRequested : PairEvent;

    public sealed record MigrateRequested(Member Destination) : PairEvent;
    public sealed record MigrationCancelled : PairEvent;

    /// <summary><paramref name="ByGuest"/>: it has shut itself down.</summary>
    public sealed record StopRequested(bool ByGuest = false) : PairEvent;

    // The guest and its QEMU
    public sealed record QemuExited(string Why) : PairEvent;
    public sealed record CheckpointingEnded(string Why) : PairEvent;

    /// <summary>Checkpoint 0 is cut: the guest is stopped until <see cref="PairEffect.ResumeFromCut"/>.</summary>
    public sealed record FirstCut : PairEvent;

    /// <summary>The last checkpoint of a planned takeover is cut and on its way; the guest stays stopped.</summary>
    public sealed record FinalCut(Epoch Epoch) : PairEvent;

    // The link
    public sealed record Acknowledged(Epoch Epoch) : PairEvent;
    public sealed record LinkDown(string Why) : PairEvent;

    /// <summary>No heartbeat for <paramref name="SilentMs"/> while the observer itself was on time (rule 8).</summary>
    public sealed record PeerSilent(double SilentMs) : PairEvent;
    public sealed record PeerHeard : PairEvent;

    /// <summary>The observer itself was late. <paramref name="Open"/>: the epoch open now.</summary>
    public sealed record WasLate(double GapMs, Epoch Open) : PairEvent;
    public sealed record Dismissed(string Why) : PairEvent;

    /// <summary>A handed-over guest was not taken in time.</summary>
    public sealed record TakeoverOverdue : PairEvent;

    // A live migration, on the source
    /// <summary>The guest is stopped, and QEMU waits for the word to send the rest.</summary>
    public sealed record SwitchoverReached : PairEvent;

    /// <summary>The whole state is on the link; the guest is stopped.</summary>
    public sealed record StreamSent : PairEvent;
    public sealed record MigrationFailed(string Why) : PairEvent;

    // A live migration, on the destination
    /// <summary>The source will not let the guest run but by a swap of its own: this revision of the role may be swapped.</summary>
    public sealed record HandedOver(Role Role, long Revision) : PairEvent;
    public sealed record Arrived : PairEvent;
    public sealed record ArrivalFailed(string Why) : PairEvent;

    /// <summary>To a side that only waits, for its primary or for a guest: it is of no use. Whoever runs a guest, or is about to, does not listen.</summary>
    public sealed record SentAway(string Why) : PairEvent;
    public sealed record GuestRuns : PairEvent;

    /// <summary>The guest was not let run, or died of it; its QEMU is dead. Nothing of it was heard, and a guest without disks has written nothing that stays.</summary>
    public sealed record GuestCouldNotRun(string Why) : PairEvent;

    // The standby's side
    public sealed record PrimaryConnected(Member Primary) : PairEvent;
    public sealed record EpochWhole(Epoch Epoch) : PairEvent;
    public sealed record Rehearsed : PairEvent;
    public sealed record RehearsalFailed(string Why) : PairEvent;
    public sealed record ProtectionTold : PairEvent;
    public sealed record PrimaryDown(string Why) : PairEvent;
    public sealed record TakeNow : PairEvent;
    public sealed record Loaded : PairEvent;
    public sealed record LoadFailed(string Why) : PairEvent;
}
