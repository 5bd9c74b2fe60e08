namespace Pollux.Replication.Compression;

/// <summary>The median of the last samples: a thread that lost its processor in the middle of one does not move it.</summary>
/// <param name="samples">How many count; a lasting change shows after half of them.</param>
internal sealed class RecentMedian(int samples)
{
    private readonly double[] _samples = new double[samples];
    private int _next;

    /// <summary>Samples that there are.</summary>
    public int Count { get; private set; }

    /// <summary>0 without samples.</summary>
    public double Value { get; private set; }

    public void Add(double sample)
    {
        _samples[_next] = sample;
        _next = (_next + 1) % _samples.Length;
        Count = Math.Min(Count + 1, _samples.Length);
        Span<double> sorted = stackalloc double[Count];
        _samples.AsSpan(0, Count).CopyTo(sorted);
        sorted.Sort();
        Value = sorted[Count / 2];
    }

    public void Clear() => (Count, Value, _next) = (0, 0, 0);
}
