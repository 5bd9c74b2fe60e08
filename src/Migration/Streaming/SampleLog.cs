using System.Diagnostics;
using Pollux.Migration.Policies;
using Pollux.Migration.Watching;

namespace Pollux.Migration.Streaming;

/// <summary>The samples of one migration. Their number is bounded in practice: the longer it lasts, the rarer they become.</summary>
internal sealed class SampleLog(StreamRelay relay, RamFile? ram) : IDisposable
{
    private static readonly TimeSpan ShortestInterval = TimeSpan.FromMilliseconds(50);

    // Ten minutes at the shortest interval; after that one more for every further 12,000th of the time.
    private const int SamplesUntilRarer = 12_000;

    // Over which the link's rate is told.
    private const double RateWindowMs = 500;

    // Group samples of a large guest are large: 64 GiB have 65,536 groups, which are told every 4 s.
    private const double GroupsIntervalMsMin = 200;
    private const int GroupsPerMs = 16;

    private readonly long _begin = Stopwatch.GetTimestamp();
    private readonly List<MigrationSample> _samples = [];
    private readonly Lock _gate = new();
    private double _groupsAtMs = double.NegativeInfinity;
    private long _groupsIteration;
    private long _groupsSentPages = -1;

    public double ElapsedMs => Stopwatch.GetElapsedTime(_begin).TotalMilliseconds;

    public TimeSpan Interval => TimeSpan.FromMilliseconds(Math.Max(ShortestInterval.TotalMilliseconds, ElapsedMs / SamplesUntilRarer));

    /// <summary>For the one thread that adds.</summary>
    public IReadOnlyList<MigrationSample> Own => _samples;

    /// <summary>For any thread.</summary>
    public IReadOnlyList<MigrationSample> Copy()
    {
        lock (_gate)
        {
            return [.. _samples];
        }
    }

    /// <param name="isPaused">While the guest stands its memory is not looked at: that takes milliseconds, and nothing is written.</param>
    public MigrationSample Add(MigrationStatus status, bool isPaused = false)
    {
        var (at, sent, ledger) = (ElapsedMs, relay.SentBytes, relay.Ledger);
        var iteration = Math.Max(1, status.Iteration);
        ledger.Iteration = (int)iteration;
        var sentPages = ledger.SentPages;
        var sample = new MigrationSample(
            at, iteration, sent, status.RemainingBytes, sentPages, ledger.ResentPages, status.DirtyPagesPerSecond, Rate(at, sent), GroupsNow(at, iteration, sentPages), status.ThrottlePercent)
        {
            PostponedBySlice = relay.Postponed?.BySlice(),
            Ram = isPaused ? null : ram?.Sampler.Look(RamSight.IsFirstRound(sentPages, ledger.ResentPages)),
        };
        lock (_gate)
        {
            _samples.Add(sample);
        }
        return sample;
    }

    public void Dispose() => ram?.Dispose();

    private double Rate(double at, long sent)
    {
        for (var i = _samples.Count - 1; i >= 0; i--)
        {
            if (at - _samples[i].AtMs >= RateWindowMs || i == 0)
            {
                return (sent - _samples[i].SentBytes) * 1000.0 / Math.Max(1, at - _samples[i].AtMs);
            }
        }
        return sent * 1000.0 / Math.Max(1, at);
    }

    private GroupSample[]? GroupsNow(double at, long iteration, long sentPages)
    {
        var due = iteration != _groupsIteration || at - _groupsAtMs >= Math.Max(GroupsIntervalMsMin, relay.Ledger.GroupCount / (double)GroupsPerMs);
        if (!due || sentPages == _groupsSentPages)
        {
            return null;
        }
        (_groupsAtMs, _groupsIteration, _groupsSentPages) = (at, iteration, sentPages);
        return relay.Ledger.Groups();
    }
}
