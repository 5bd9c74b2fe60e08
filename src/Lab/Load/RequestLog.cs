using System.Diagnostics;

namespace Pollux.Lab.Load;

/// <summary>What a request was for.</summary>
public enum RequestKind : byte
{
    Write,
    Read,
    Count,
}

/// <summary>A request and its reply, on the monotonic clock of <see cref="Stopwatch"/>.</summary>
/// <param name="ReplyTicks">When the reply's first byte was here; 0: it never came.</param>
public readonly record struct Exchange(RequestKind Kind, long SentTicks, long ReplyTicks)
{
    public bool IsAnswered => ReplyTicks != 0;

    public double RoundTripMs => Stopwatch.GetElapsedTime(SentTicks, ReplyTicks).TotalMilliseconds;
}

/// <summary>A time without any reply, from one reply to the next.</summary>
public readonly record struct Gap(long FromTicks, long ToTicks)
{
    public double Ms => Stopwatch.GetElapsedTime(FromTicks, ToTicks).TotalMilliseconds;
}

/// <summary>
/// What a client asked and when it was answered, in order. One thread adds; any thread looks. It is bounded: <see cref="TryAdd"/> is
/// false when <see cref="Capacity"/> requests are in it.
/// </summary>
public sealed class RequestLog
{
    public const int Capacity = 4_000_000;
    private readonly Lock _lock = new();
    private readonly List<Exchange> _exchanges = new(64 * 1024);

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _exchanges.Count;
            }
        }
    }

    public bool TryAdd(Exchange exchange)
    {
        lock (_lock)
        {
            if (_exchanges.Count == Capacity)
            {
                return false;
            }
            _exchanges.Add(exchange);
            return true;
        }
    }

    /// <summary>What was answered in a span of time, in order.</summary>
    public IReadOnlyList<Exchange> AnsweredBetween(long fromTicks, long toTicks)
    {
        lock (_lock)
        {
            return [.. _exchanges.Where(e => e.IsAnswered && e.ReplyTicks >= fromTicks && e.ReplyTicks < toTicks)];
        }
    }

    /// <summary>The first exchange answered after a moment, if there is one yet.</summary>
    public Exchange? FirstAnswerAfter(long ticks)
    {
        Exchange? first = null;
        lock (_lock)
        {
            for (var i = _exchanges.Count - 1; i >= 0 && !(_exchanges[i].IsAnswered && _exchanges[i].ReplyTicks <= ticks); i--)
            {
                first = _exchanges[i].IsAnswered ? _exchanges[i] : first;
            }
        }
        return first;
    }

    public LatencySummary RoundTripsBetween(long fromTicks, long toTicks) =>
        LatencySummary.Of(AnsweredBetween(fromTicks, toTicks).Select(e => e.RoundTripMs));

    /// <summary>The longest time without a reply that has its ends in the span, or null when fewer than two replies are in it.</summary>
    public Gap? LongestGapBetween(long fromTicks, long toTicks) => GapsBetween(fromTicks, toTicks).Cast<Gap?>().MaxBy(g => g!.Value.Ms);

    /// <summary>
    /// The time without replies that a fault made: the longest that begins before the fault or shortly after it and ends after it.
    /// Shortly after, since a reply that had left before the fault may be read after it.
    /// </summary>
    /// <param name="grace">How late such a reply may be read.</param>
    /// <returns>Null: no reply after the fault.</returns>
    public Gap? OutageAt(long faultTicks, TimeSpan grace)
    {
        var latestBegin = faultTicks + (long)(grace.TotalSeconds * Stopwatch.Frequency);
        return GapsBetween(0, long.MaxValue).Where(g => g.ToTicks > faultTicks && g.FromTicks < latestBegin).Cast<Gap?>().MaxBy(g => g!.Value.Ms);
    }

    private IEnumerable<Gap> GapsBetween(long fromTicks, long toTicks)
    {
        var answered = AnsweredBetween(fromTicks, toTicks);
        return answered.Zip(answered.Skip(1), (a, b) => new Gap(a.ReplyTicks, b.ReplyTicks));
    }
}
