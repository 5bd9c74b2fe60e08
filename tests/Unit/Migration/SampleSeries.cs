using Pollux.Migration.Policies;

namespace Pollux.Unit.Tests.Migration;

/// <summary>Samples made by hand, 50 ms apart unless said otherwise.</summary>
internal sealed class SampleSeries
{
    private readonly List<MigrationSample> _samples = [];
    private MigrationSample _last = new(0, 1, 0, 256L << 20, 0, 0, 0, 128e6, null, 0);

    public static readonly MigrationTerms Terms = new(256L << 20, MaxPauseMs: 1500, DeadlineMs: 60_000, LinkBytesPerSecond: 128e6, OverheadMs: 50, WhenLonger.Wait);

    public IReadOnlyList<MigrationSample> All => _samples;

    /// <summary>Sends for a time at the link's rate.</summary>
    public SampleSeries Send(double ms, double stepMs = 50)
    {
        for (var end = _last.AtMs + ms; _last.AtMs < end - 1e-6;)
        {
            var pages = (long)(_last.LinkBytesPerSecond * stepMs / 1000 / DirtyLooks.PageBytes);
            _last = _last with
            {
                AtMs = _last.AtMs + stepMs, SentBytes = _last.SentBytes + (pages * DirtyLooks.PageBytes), SentPages = _last.SentPages + pages,
                RemainingBytes = Math.Max(0, _last.RemainingBytes - (pages * DirtyLooks.PageBytes)),
            };
            _samples.Add(_last);
        }
        return this;
    }

    /// <summary>The next sample is after a look that found this much to be left.</summary>
    public SampleSeries Look(double restBytes, double dirtyPagesPerSecond = 0)
    {
        _last = _last with { AtMs = _last.AtMs + 50, Iteration = _last.Iteration + 1, RemainingBytes = (long)restBytes, DirtyPagesPerSecond = dirtyPagesPerSecond };
        _samples.Add(_last);
        return this;
    }

    /// <summary>What whoever reads the guest's pages sees from now on.</summary>
    public SampleSeries Seeing(RamSight sight)
    {
        _last = _last with { Ram = sight };
        return this;
    }

    public SampleSeries With(Func<MigrationSample, MigrationSample> change)
    {
        _last = change(_last);
        _samples.Add(_last);
        return this;
    }
}
