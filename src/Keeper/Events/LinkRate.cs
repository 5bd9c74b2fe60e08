namespace Pollux.Keeper.Events;

/// <summary>Bytes a second of counters that only grow, over the last minute or what there has been of it. Sampled from time to time.</summary>
internal sealed class LinkRate(double windowMs)
{
    private readonly Queue<(double NowMs, long Captured, long Shipped, long Sent)> _samples = new();
    private readonly Lock _lock = new();
    private object? _whose;

    /// <param name="whose">Whose counters they are: another one's begin anew.</param>
    public void Note(object? whose, double nowMs, long captured, long shipped, long sent)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(whose, _whose))
            {
                _samples.Clear();
                _whose = whose;
            }
            _samples.Enqueue((nowMs, captured, shipped, sent));
            while (nowMs - _samples.Peek().NowMs > windowMs)
            {
                _samples.Dequeue();
            }
        }
    }

    public (double Captured, double Shipped, double Sent) PerSecond()
    {
        lock (_lock)
        {
            if (_samples.Count < 2)
            {
                return default;
            }
            var (first, last) = (_samples.Peek(), _samples.Last());
            var seconds = (last.NowMs - first.NowMs) / 1000;
            return (
                Math.Round((last.Captured - first.Captured) / seconds), Math.Round((last.Shipped - first.Shipped) / seconds), Math.Round((last.Sent - first.Sent) / seconds));
        }
    }
}
