namespace Pollux.Migration.Policies;

/// <summary>With what QEMU begins.</summary>
/// <param name="DowntimeLimitMs">QEMU stops the guest by itself when it believes that the rest takes no longer.</param>
/// <param name="AutoConverge">QEMU may slow the guest down (its capability, with its own defaults).</param>
public sealed record MigrationSetup(double DowntimeLimitMs, bool AutoConverge);

/// <summary>
/// A policy's answer to what it has seen. Policies keep nothing, so an order is repeated with each sample for as long as it holds: carrying it out twice
/// must be the same as once.
/// </summary>
public abstract record MigrationOrder
{
    /// <summary>
    /// Slices of the RAM (<see cref="RamSight.Slices"/>; bit 0 holds address 0) of which pages that were not sent yet wait until the guest stands, from now on until the
    /// next order.
    /// </summary>
    public ulong PostponedSlices { get; init; }

    /// <summary>Go on as before.</summary>
    /// <param name="Why">What the policy thinks, for the progress line; null: nothing to say.</param>
    public sealed record GoOn(string? Why = null) : MigrationOrder;

    /// <summary>From now on QEMU stops the guest by itself when it believes that the rest takes no longer.</summary>
    public sealed record Limit(double DowntimeLimitMs, string? Why = null) : MigrationOrder;

    /// <summary>Stop the guest and copy the rest now. <paramref name="PredictedPauseMs"/> is shown to the user.</summary>
    public sealed record SwitchOver(double PredictedPauseMs, string Why) : MigrationOrder;

    /// <summary>
    /// Let QEMU slow the guest down from now on. QEMU takes the capability auto-converge only before the migration, so whoever may get this order begins
    /// with it and with <c>max-cpu-throttle</c> at 1.
    /// </summary>
    public sealed record Throttle(string Why) : MigrationOrder;

    /// <summary>End the migration; the VM runs on at the source.</summary>
    public sealed record GiveUp(string Why) : MigrationOrder;
}

/// <summary>
/// When to stop the guest and copy the rest: a pure function of the terms and of all samples so far. Made for one migration only in that its
/// settings may be; it keeps nothing between two calls.
/// </summary>
public interface IMigrationPolicy
{
    /// <summary>As the user types it: mp, stock, relaxed, capped, auto-converge, doubling, ramp.</summary>
    string Name { get; }

    MigrationSetup Begin(MigrationTerms terms);

    /// <param name="samples">At least one, in order of time; the last is now.</param>
    MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples);
}
