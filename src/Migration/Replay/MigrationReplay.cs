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
    /// <summary>What the guest writes in the second before, and how much of its RAM is in use: the facts that a keeper finds out beforehand.</summary>
    /// <param name="seed">Of the run that is to follow: it begins where this ends.</param>
    public static MigrationTerms Watch(MigrationTerms terms, MemoryTrace trace, int seed)
    {
        const double watchMs = 1000;
        var written = new HashSet<int>();
        var run = new ReplayedMigration(terms, trace, terms.LinkBytesPerSecond ?? 1, seed);
        run.Guest.Run(watchMs, page => written.Add(page));
        return terms with { WatchedDirtyBytesPerSecond = (double)written.Count * DirtyLooks.PageBytes, UsedBytes = (long)run.Memory.UsedPages * DirtyLooks.PageBytes };
    }

    /// <param name="terms">As given to the policy; <see cref="Watch"/> adds what is found out beforehand.</param>
    /// <param name="seed">Where in the trace it begins, and all noise. The same seed gives the same run.</param>
    /// <param name="repetition">Only to be told in the run.</param>
    public static MigrationRun Run(IMigrationPolicy policy, MigrationTerms terms, MemoryTrace trace, double linkBytesPerSecond, int seed, int repetition = 1)
    {
        var migration = new ReplayedMigration(terms, trace, linkBytesPerSecond, seed);
        var end = migration.Live(policy);
        return new MigrationRun(
            policy.Name, trace.Guest, linkBytesPerSecond / 1e6, end.PauseMs is not null, end.AtMs / 1000, end.SentBytes, end.PauseMs, RunKind.Replayed, terms.MaxPauseMs,
            policy.Name == "relaxed" ? policy.Begin(terms).DowntimeLimitMs : null, end.PredictedPauseMs, end.GuestSpeed, repetition, end.Why);
    }
}

/// <param name="PauseMs">Null: it did not succeed.</param>
internal sealed record ReplayEnd(double AtMs, long SentBytes, double? PauseMs, double? PredictedPauseMs, double GuestSpeed, string Why);
