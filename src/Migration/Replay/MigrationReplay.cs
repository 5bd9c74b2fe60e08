using Pollux.Migration.Policies;

namespace Pollux.Migration.Replay;

/// <summary>
/// A migration in virtual time: a model of QEMU 7.2's precopy (migration/migration.c, ram.c), a link of a given rate, a policy, and a guest that writes what
/// its trace says. What is modelled: the pass over all RAM, zero pages, looks at the dirty log (when less remains than the threshold, checked every 50 ms), the
/// threshold (bandwidth of the last 100 ms window times downtime-limit), orders that take effect with the next window, auto-converge, the last look with
/// the guest stopped. What is not: QEMU's own processor time but for zero pages, disks, a link that varies by more than noise.
/// </summary>
public static class MigrationReplay
{
    /// <param name="seed">Where in the trace it begins, and all noise. The same seed gives the same run.</param>
    /// <param name="repetition">Only to be told in the run.</param>
    /// <param name="isWatched">A sample of the guest's pages is read beside the migration, as keepers do.</param>
    public static MigrationRun Run(IMigrationPolicy policy, MigrationTerms terms, MemoryTrace trace, double linkBytesPerSecond, int seed, int repetition = 1, bool isWatched = true)
    {
        var migration = new ReplayedMigration(terms, trace, linkBytesPerSecond, seed, isWatched);
        var end = migration.Live(policy);
        return new MigrationRun(
            policy.Name, trace.Guest, linkBytesPerSecond / 1e6, end.PauseMs is not null, end.AtMs / 1000, end.SentBytes, end.PauseMs, RunKind.Replayed, terms.MaxPauseMs,
            policy.Name == "relaxed" ? policy.Begin(terms).DowntimeLimitMs : null, end.PredictedPauseMs, end.GuestSpeed, repetition, end.Why);
    }
}

/// <param name="PauseMs">Null: it did not succeed.</param>
internal sealed record ReplayEnd(double AtMs, long SentBytes, double? PauseMs, double? PredictedPauseMs, double GuestSpeed, string Why);
