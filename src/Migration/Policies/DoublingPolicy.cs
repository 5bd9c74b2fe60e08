using static System.FormattableString;

namespace Pollux.Migration.Policies;

/// <summary>
/// As Proxmox VE does it (qemu-server, <c>PVE/QemuMigrate.pm</c>): 100 ms at first, doubled each time that what remains was seen to grow six times.
/// It looks once a second, and ten times a second once less remains than one look's share of what was sent. There it doubles without end; here it stops
/// at the pause that the user allowed.
/// </summary>
public sealed class DoublingPolicy : IMigrationPolicy
{
    private const double FirstLimitMs = 100;
    private const double SlowPollMs = 1000;
    private const double FastPollMs = 100;
    private const int GrewMost = 5;

    public string Name => "doubling";

    public MigrationSetup Begin(MigrationTerms terms) => new(Math.Min(FirstLimitMs, terms.MaxPauseMs), AutoConverge: false);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        var limit = Math.Min(LimitAfter(samples), terms.MaxPauseMs);
        return Refusal.AtDeadline(terms, samples)
            ?? (limit >= terms.MaxPauseMs ? Refusal.WhenStalled(terms, samples) : null)
            ?? (limit > Begin(terms).DowntimeLimitMs ? new MigrationOrder.Limit(limit)
                : new MigrationOrder.GoOn(Invariant($"the downtime-limit of {limit:0} ms is doubled when what remains has grown {GrewMost + 1} times")));
    }

    /// <summary>qemu-server's monitoring loop over the samples that it would have seen.</summary>
    private static double LimitAfter(IReadOnlyList<MigrationSample> samples)
    {
        var (limit, pollMs, nextPollMs, polls, grew) = (FirstLimitMs, SlowPollMs, SlowPollMs, 0, 0);
        var (lastSent, lastRemaining) = (0L, (long?)null);
        foreach (var sample in samples)
        {
            if (sample.AtMs < nextPollMs)
            {
                continue;
            }
            polls++;
            if (sample.SentBytes != lastSent)
            {
                var sentAPoll = lastSent / polls;
                pollMs = sentAPoll > 0 && sample.RemainingBytes < sentAPoll ? FastPollMs : pollMs;
                grew += (lastRemaining is > 0 && sample.RemainingBytes > lastRemaining) || sample.RemainingBytes == 0 ? 1 : 0;
                lastRemaining = sample.RemainingBytes;
            }
            if (grew > GrewMost)
            {
                (grew, limit) = (0, limit * 2);
            }
            lastSent = sample.SentBytes;
            nextPollMs = sample.AtMs + pollMs;
        }
        return limit;
    }
}
