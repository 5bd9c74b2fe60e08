namespace Pollux.Migration.Policies;

/// <summary>What a policy may do when the pause that the user allowed cannot be kept.</summary>
public enum WhenLonger
{
    /// <summary>Slow the guest down until it can.</summary>
    Throttle,

    /// <summary>Wait for a quieter moment, until the deadline.</summary>
    Wait,

    /// <summary>Give up at once; the VM runs on where it is.</summary>
    GiveUp,
}

/// <summary>What the user allows, and what is known beforehand.</summary>
/// <param name="RamBytes">The guest's RAM.</param>
/// <param name="MaxPauseMs">The longest pause that the user allows.</param>
/// <param name="DeadlineMs">From the beginning; then the migration is given up.</param>
/// <param name="LinkBytesPerSecond">The rate to which the stream is limited; null: as fast as the link is, which is to be measured.</param>
/// <param name="OverheadMs">The part of a pause that does not depend on what is left to send: device state, loading, the swap of the role.</param>
public sealed record MigrationTerms(long RamBytes, double MaxPauseMs, double DeadlineMs, double? LinkBytesPerSecond, double OverheadMs, WhenLonger WhenLonger)
{
    /// <summary>
    /// What the guest wrote in the second before (QEMU's <c>calc-dirty-rate</c> in its page-sampling mode, which needs no dirty log), while the destination was made
    /// ready; null: nobody watched.
    /// </summary>
    public double? WatchedDirtyBytesPerSecond { get; init; }

    /// <summary>How much of the RAM is not zero, rather more than less; null: unknown, and taken to be all. Pages that are only zero take nine bytes in the stream.</summary>
    public long? UsedBytes { get; init; }
}
