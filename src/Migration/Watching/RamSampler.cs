using Pollux.Migration.Policies;

namespace Pollux.Migration.Watching;

/// <summary>
/// Watches a random sample of a guest's pages: how many are not zero, and how many have changed after 50, 100, 200, … ms. So it is known
/// from the beginning how fast different pages are written and where, while QEMU's dirty log is read only at the end of a pass. The guest is not slowed down. The first
/// series of looks lasts until QEMU has gone through all RAM; each further one is followed by another with other pages, because guests change. A page that is rewritten with what was there already does not count. One thread uses it.
/// </summary>
internal sealed class RamSampler
{
    /// <summary>16 MiB are read for a look, some 10 ms; a share of the RAM is known to 0.8 % of it (standard error).</summary>
    private const int SampledPages = 4096;

    /// <summary>Of a series after QEMU's first round: 1.6 s.</summary>
    private const int LooksOfSeries = 17;

    private readonly long _ramPages;
    private readonly Func<long, PageSeen> _read;
    private readonly Random _random;
    private readonly Func<double> _nowMs;
    private readonly long[] _pages = new long[SampledPages];
    private readonly uint[] _first = new uint[SampledPages];
    private readonly bool[] _changed = new bool[SampledPages];
    private readonly List<WrittenWithin> _series = [];
    private bool _isFirst = true;
    private double _seriesFromMs;
    private RamSight? _sight;
    private long _usedBytes;

    /// <summary>Begins with a first look.</summary>
    /// <param name="read">By page number.</param>
    internal RamSampler(long ramPages, Func<long, PageSeen> read, Random random, Func<double> nowMs)
    {
        (_ramPages, _read, _random, _nowMs) = (ramPages, read, random, nowMs);
        BeginSeries();
    }

    /// <summary>What is known now, after another look if one is due. Null: too early.</summary>
    /// <param name="isFirstRound">No page was sent twice yet.</param>
    public RamSight? Look(bool isFirstRound)
    {
        if (_isFirst && !isFirstRound)
        {
            _isFirst = false;
            _sight = _sight is null ? null : _sight with { WrittenBySlice = null };
            BeginSeries();
        }
        var sinceMs = _nowMs() - _seriesFromMs;
        if (sinceMs < RamSight.LookMs(_series.Count))
        {
            return _sight;
        }
        LookAgain();
        _series.Add(new WrittenWithin(sinceMs, (double)_changed.Count(c => c) / SampledPages * RamBytes));
        // A new series has little to say at first: the one before it stands until then.
        if (_sight is null || _isFirst || _series.Count >= RamSight.LooksToTell)
        {
            _sight = new RamSight(_usedBytes, [.. _series]) { WrittenBySlice = _isFirst ? BySlice() : null, SinceBeginMs = sinceMs };
        }
        if (!_isFirst && _series.Count == LooksOfSeries)
        {
            BeginSeries();
        }
        return _sight;
    }

    private double RamBytes => (double)_ramPages * DirtyLooks.PageBytes;

    private void BeginSeries()
    {
        var used = 0;
        for (var n = 0; n < SampledPages; n++)
        {
            _pages[n] = _random.NextInt64(_ramPages);
            (_first[n], var isZero) = _read(_pages[n]);
            used += isZero ? 0 : 1;
        }
        Array.Clear(_changed);
        _series.Clear();
        _seriesFromMs = _nowMs();
        // Rather more than less: twice the standard error.
        var share = (double)used / SampledPages;
        var error = Math.Sqrt(share * (1 - share) / SampledPages);
        _usedBytes = (long)(RamBytes * Math.Min(1, share + (2 * error) + (1.0 / SampledPages)));
    }

    private void LookAgain()
    {
        for (var n = 0; n < SampledPages; n++)
        {
            _changed[n] = _changed[n] || _read(_pages[n]).Sum != _first[n];
        }
    }

    /// <summary>A slice of which no page is in the sample counts as not written; with 64 pages for each on average there is none.</summary>
    private double[] BySlice()
    {
        var (sampled, changed) = (new int[RamSight.Slices], new int[RamSight.Slices]);
        for (var n = 0; n < SampledPages; n++)
        {
            var slice = (int)(_pages[n] * RamSight.Slices / _ramPages);
            sampled[slice]++;
            changed[slice] += _changed[n] ? 1 : 0;
        }
        return [.. sampled.Select((all, s) => changed[s] * RamBytes / RamSight.Slices / Math.Max(1, all))];
    }
}

/// <summary>A page as it is now.</summary>
/// <param name="Sum">Another one when it has changed.</param>
internal readonly record struct PageSeen(uint Sum, bool IsZero);
