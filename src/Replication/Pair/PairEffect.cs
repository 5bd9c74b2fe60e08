using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <summary>Something the edge shall do, in the order given. It reports outcomes as <see cref="PairEvent"/>s.</summary>
public abstract record PairEffect
{
    /// <summary>A linearizable read of the role; answered by RoleRead or ReadFailed. <paramref name="Again"/>: after a moment's pause.</summary>
    public sealed record ReadRole(bool Again = false) : PairEffect;

    /// <summary>A compare-and-swap of the role that also requires the own host's lease; answered by SwapWon, SwapLost or SwapUnknown.</summary>
    public sealed record SwapRole(PendingSwap Swap, bool Again = false) : PairEffect;

    /// <summary>Report every change of the role as RoleRead until the phase is left.</summary>
    public sealed record WatchRole : PairEffect;

    /// <summary>Start the guest, or take charge of the one that runs.</summary>
    public sealed record StartGuest(bool Adopt) : PairEffect;
    public sealed record StopGuest : PairEffect;

    /// <summary>Connect to the standby and begin to checkpoint.</summary>
    public sealed record BeginCheckpointing(Member Standby) : PairEffect;

    /// <summary>End checkpointing; the guest runs on. Dismiss the standby with <paramref name="Why"/> if it can be reached.</summary>
    public sealed record EndCheckpointing(string Why) : PairEffect;
    public sealed record ResumeFromCut : PairEffect;

    /// <summary>Withhold LOADED: a guest that stops for a checkpoint stays stopped.</summary>
    public sealed record CloseGate : PairEffect;
    public sealed record OpenGate : PairEffect;

    /// <summary>Cut one more checkpoint and keep the guest stopped; answered by FinalCut.</summary>
    public sealed record CutFinal : PairEffect;

    /// <summary>Connect to the destination and begin a live migration.</summary>
    public sealed record BeginMigration(Member Destination) : PairEffect;

    /// <summary>The guest is stopped: send the rest; answered by StreamSent or MigrationFailed.</summary>
    public sealed record CompleteMigration : PairEffect;

    /// <summary>Undo the migration: nothing of it stays in QEMU, the guest runs on. Dismiss the destination if it can be reached.</summary>
    public sealed record EndMigration(string Why) : PairEffect;

    /// <summary>The destination may swap this revision of the role.</summary>
    public sealed record TellHandOver(Role Role, long Revision) : PairEffect;

    /// <summary>The guest that was received is ours: let it run.</summary>
    public sealed record RunGuest : PairEffect;

    public sealed record HoldEgress : PairEffect;

    /// <summary>Let the frames of all epochs up to this one out, in order.</summary>
    public sealed record Release(Epoch UpTo) : PairEffect;

    /// <summary>Let everything held out, in order, and hold nothing any more.</summary>
    public sealed record ReleaseAll : PairEffect;

    public sealed record Acknowledge(Epoch UpTo) : PairEffect;
    public sealed record TellProtected : PairEffect;
    public sealed record TellPrimaryDown(string Why) : PairEffect;
    public sealed record TellTakeNow(Epoch Final) : PairEffect;
    public sealed record TellDismiss(string Why) : PairEffect;

    /// <summary>Load the commit into a throw-away QEMU; answered by Rehearsed or RehearsalFailed.</summary>
    public sealed record Rehearse : PairEffect;

    /// <summary>Apply every whole epoch up to this one and load its device state; answered by Loaded or LoadFailed.</summary>
    public sealed record Load(Epoch Epoch) : PairEffect;

    /// <summary>The guest is ours: let its frames out, announce it to the switches.</summary>
    public sealed record OpenNetwork : PairEffect;

    /// <summary>Clean up and end: kill QEMU, remove the RAM file. One that was to be adopted, and has handed its guest over, is left to the agent.</summary>
    public sealed record Leave(string Why) : PairEffect;
}
