using System.Diagnostics;
using Pollux.Cluster.Keepers;

namespace Pollux.Keeper;

/// <summary>
/// Figures of the checkpoints of one protection: a bounded window of the newest samples. Pauses come from QMP's own times (RESUME
/// minus STOP), as the guest sees them.
/// </summary>
internal sealed class CheckpointStats
{
    private const int Window = 1 << 14;
    private readonly Lock _lock = new();
    private readonly Samples _pauseMs = new(Window);
    private readonly Samples _pages = new(Window);
    private readonly long _started = Stopwatch.GetTimestamp();
    private long _stoppedAtMicros;
    private double _pagesPerMs;

    public long Count { get; private set; }
    public long Committed { get; set; }

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
                _pauseMs.Add((micros - _stoppedAtMicros) / 1000.0);
            }
            _stoppedAtMicros = 0;
        }
    }

    /// <summary>A checkpoint of <paramref name="pages"/> was cut after the guest had run <paramref name="ranMs"/>.</summary>
    public void Cut(long pages, double ranMs)
    {
        const double weightOfNewest = 0.25;
        lock (_lock)
        {
            Count++;
            _pages.Add(pages);
            var rate = pages / Math.Max(ranMs, 0.1);
            _pagesPerMs = Count == 1 ? rate : (weightOfNewest * rate) + ((1 - weightOfNewest) * _pagesPerMs);
        }
    }

    public CheckpointStatus Status()
    {
        lock (_lock)
        {
            var seconds = Stopwatch.GetElapsedTime(_started).TotalSeconds;
            return new CheckpointStatus(Count, Committed, Math.Round(Count / Math.Max(seconds, 0.001), 1), _pauseMs.Percentiles(), _pages.Percentiles());
        }
    }

    /// <summary>The newest values of a series.</summary>
    private sealed class Samples(int capacity)
    {
        private readonly double[] _values = new double[capacity];
        private long _count;

        public void Add(double value) => _values[_count++ % capacity] = value;

        public Percentiles Percentiles()
        {
            var n = (int)Math.Min(_count, capacity);
            if (n == 0)
            {
                return new Percentiles(0, 0, 0);
            }
            var sorted = _values[..n];
            Array.Sort(sorted);
            double At(double share) => Math.Round(sorted[(int)Math.Min(n - 1, share * n)], 3);
            return new Percentiles(At(0.50), At(0.99), Math.Round(sorted[n - 1], 3));
        }
    }
}
