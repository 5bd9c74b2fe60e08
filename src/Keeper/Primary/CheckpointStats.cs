using System.Diagnostics;
using Pollux.Cluster.Keepers;

namespace Pollux.Keeper.Primary;

/// <summary>
/// Figures of the checkpoints of one protection: what the last minute was like, and counters since it began. Pauses come from QMP's own
/// times (RESUME minus STOP), as the guest sees them.
/// </summary>
internal sealed class CheckpointStats
{
    /// <summary>Old pauses say nothing of now: the first ones of a protection, while all code is cold, are ten times the usual.</summary>
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(CheckpointStatus.WindowSeconds);
    private const int SamplesMost = 1 << 14;
    private const int PageBytes = 4096;

    /// <summary>More cuts than this are never on their way.</summary>
    private const int CutsKept = 64;

    private static readonly Percentiles Nothing = new(0, 0, 0);
    private readonly Lock _lock = new();
    private readonly Samples _pauseMs = new(SamplesMost);
    private readonly Samples _pages = new(SamplesMost);
    private readonly long[] _pauseCounts = new long[PauseHistogram.UpperMs.Count + 1];
    private readonly (long At, long Pages)[] _cuts = new (long, long)[CutsKept];
    private readonly long _started = Stopwatch.GetTimestamp();
    private long _windowBegan;
    private double _pauseSumMs;
    private long _stoppedAtMicros;
    private long _committed;
    private double _pagesPerMs;
    private double _recentPauseMs;

    public CheckpointStats() => _windowBegan = _started;

    public long Count { get; private set; }

    /// <summary>The last committed epoch.</summary>
    public long Committed
    {
        get => Interlocked.Read(ref _committed);
        set => Interlocked.Exchange(ref _committed, value);
    }

    /// <summary>The dirty rate of recent epochs, for the trigger's forecast.</summary>
    public double PagesPerMs
    {
        get
        {
            lock (_lock)
            {
                return _pagesPerMs;
            }
        }
    }

    /// <summary>The pause of recent checkpoints, for the trigger.</summary>
    public double RecentPauseMs
    {
        get
        {
            lock (_lock)
            {
                return _recentPauseMs;
            }
        }
    }

    /// <summary>The settings are others now: rates and percentiles of before say nothing of them.</summary>
    public void BeginWindow()
    {
        lock (_lock)
        {
            _windowBegan = Stopwatch.GetTimestamp();
        }
    }

    public void Stopped(long micros)
    {
        lock (_lock)
        {
            _stoppedAtMicros = micros;
        }
    }

    public void Resumed(long micros)
    {
        lock (_lock)
        {
            if (_stoppedAtMicros > 0 && Count > 0)
            {
                // QEMU tells the wall clock, which may be set back.
                var ms = Math.Max(0, micros - _stoppedAtMicros) / 1000.0;
                _pauseMs.Add(ms);
                _pauseSumMs += ms;
                _recentPauseMs = Weighted(ms, _recentPauseMs);
                _pauseCounts[PauseHistogram.BucketOf(ms)]++;
            }
            _stoppedAtMicros = 0;
        }
    }

    /// <summary>A checkpoint of <paramref name="pages"/> was cut after the guest had run <paramref name="ranMs"/>.</summary>
    public void Cut(long pages, double ranMs)
    {
        lock (_lock)
        {
            Count++;
            _pages.Add(pages);
            _cuts[Count % CutsKept] = (Stopwatch.GetTimestamp(), pages);
            var rate = pages / Math.Max(ranMs, 0.1);
            _pagesPerMs = Count == 1 ? rate : Weighted(rate, _pagesPerMs);
        }
    }

    private static double Weighted(double newest, double before)
    {
        const double weightOfNewest = 0.25;
        return (weightOfNewest * newest) + ((1 - weightOfNewest) * before);
    }

    public CheckpointStatus Status()
    {
        double[] pauses, pages;
        CheckpointStatus status;
        lock (_lock)
        {
            var now = Stopwatch.GetTimestamp();
            var since = Math.Max(_windowBegan, now - (long)(Window.TotalSeconds * Stopwatch.Frequency));
            var window = Stopwatch.GetElapsedTime(since, now);
            (pauses, pages) = (_pauseMs.From(since), _pages.From(since));
            var (lagMs, uncommittedBytes) = LagNow();
            status = new CheckpointStatus(
                Count, Committed, Math.Round(pauses.Length / Math.Max(window.TotalSeconds, 0.001), 1),
                Nothing, Nothing, lagMs, uncommittedBytes, new PauseHistogram([.. _pauseCounts], Math.Round(_pauseSumMs, 3)));
        }
        // Sorted outside: the guest's next checkpoint must not wait for it.
        return status with { PauseMs = PercentilesOf(pauses), Pages = PercentilesOf(pages) };
    }

    /// <summary>As in <see cref="Status"/>, without its price.</summary>
    public (double LagMs, long UncommittedBytes) Lag()
    {
        lock (_lock)
        {
            return LagNow();
        }
    }

    /// <summary>Epoch <em>n</em> is the <em>n</em>th cut after checkpoint 0, which is none of these. A commit may be heard before its cut is counted here.</summary>
    private (double LagMs, long UncommittedBytes) LagNow()
    {
        var committed = Math.Min(Committed, Count);
        var since = committed > 0 ? _cuts[committed % CutsKept].At : _started;
        return (Math.Round(Stopwatch.GetElapsedTime(since).TotalMilliseconds, 1), UncommittedPages(committed) * PageBytes);
    }

    private long UncommittedPages(long committed)
    {
        var pages = 0L;
        for (var epoch = Math.Max(committed + 1, Count - CutsKept + 1); epoch <= Count; epoch++)
        {
            pages += _cuts[epoch % CutsKept].Pages;
        }
        return pages;
    }

    private static Percentiles PercentilesOf(double[] values)
    {
        if (values.Length == 0)
        {
            return Nothing;
        }
        Array.Sort(values);
        double At(double share) => Math.Round(values[(int)Math.Min(values.Length - 1, share * values.Length)], 3);
        return new Percentiles(At(0.50), At(0.99), Math.Round(values[^1], 3));
    }

    /// <summary>The newest values of a series, with their times.</summary>
    private sealed class Samples(int capacity)
    {
        private readonly (long At, double Value)[] _values = new (long, double)[capacity];
        private long _count;

        public void Add(double value) => _values[_count++ % capacity] = (Stopwatch.GetTimestamp(), value);

        public double[] From(long since)
        {
            var n = (int)Math.Min(_count, capacity);
            var newer = 0;
            while (newer < n && _values[(_count - 1 - newer) % capacity].At >= since)
            {
                newer++;
            }
            var values = new double[newer];
            for (var i = 0; i < newer; i++)
            {
                values[i] = _values[(_count - 1 - i) % capacity].Value;
            }
            return values;
        }
    }
}
