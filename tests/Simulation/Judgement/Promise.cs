namespace Pollux.Simulation.Judgement;

/// <summary>What must hold whatever happens.</summary>
internal enum Promise
{
    /// <summary>A frame leaves only when the standby holds what the guest had gone through when it sent it, or the guest runs alone by the role.</summary>
    NoUncommittedOutput,

    /// <summary>Whoever speaks remembers all that the world has been told.</summary>
    NothingToldIsForgotten,

    /// <summary>Two sides never let frames pass.</summary>
    NeverTwo,

    /// <summary>
    /// One guest runs, always; a second one only while its frames are held for a pair's commits. One that was handed over, or has arrived, runs by a won
    /// swap of its own host alone, and as the guest that was stopped.
    /// </summary>
    OneRunningCopy,

    /// <summary>The VM is stopped only when its user has wished it.</summary>
    StopsOnlyByWish,

    /// <summary>
    /// A VM starts anew only when faults have destroyed the last copy with which one could have gone on, or it was to be stopped. A pair loses one host,
    /// QEMU or keeper and goes on; agents, links and the store may fail as they like.
    /// </summary>
    TheGuestIsKept,

    /// <summary>Whoever goes on alone is the primary that the key names; nothing is started anew while another one may have the last commit.</summary>
    TheKeyIsTheTruth,

    /// <summary>What a standby acknowledged is in what it takes over with.</summary>
    AcknowledgedIsKept,

    /// <summary>After a freeze a primary that was replaced meanwhile lets nothing out.</summary>
    SilentWhenReplaced,

    /// <summary>The link gives epochs in order and whole.</summary>
    LinkInOrder,

    /// <summary>The standby's image is the guest's memory as it was at the last acknowledged cut, byte for byte.</summary>
    TheImageIsTheCommit,

    /// <summary>When all faults are over, the VM runs and is protected again within a bounded time.</summary>
    ComesToRest,
}

/// <summary>A life in which a promise did not hold.</summary>
internal sealed class BrokenPromiseException(Promise promise, string what) : Exception($"{promise}: {what}")
{
    public Promise Promise => promise;
}
