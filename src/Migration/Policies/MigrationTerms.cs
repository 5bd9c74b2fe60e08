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
public sealed record MigrationTerms(long RamBytes, double MaxPauseMs, double DeadlineMs, double? LinkBytesPerSecond, double OverheadMs, WhenLonger WhenLonger);
