namespace Pollux.Simulation.Time;

/// <summary>
/// The world's time: what is due is done in order, and nothing takes any time by itself. What is due at one moment is done in the order in
/// which it was asked for, so a seed always gives the same life.
/// </summary>
internal sealed class VirtualTime
{
    private readonly PriorityQueue<Action, Moment> _due = new();
    private long _count;

    /// <summary>Milliseconds since the life began, by no host's clock.</summary>
    public double NowMs { get; private set; }

    /// <summary>What was done so far.</summary>
    public long Steps { get; private set; }

    /// <summary>When the next thing is due.</summary>
    public double NextMs => _due.TryPeek(out _, out var moment) ? moment.Ms : double.PositiveInfinity;

    public void SkipTo(double ms) => NowMs = Math.Max(NowMs, ms);

    public void At(double ms, Action action) => _due.Enqueue(action, new Moment(Math.Max(ms, NowMs), _count++));

    public void After(double ms, Action action) => At(NowMs + ms, action);

    /// <summary>Does what is due next; false when there is nothing.</summary>
    public bool Step()
    {
        if (!_due.TryDequeue(out var action, out var moment))
        {
            return false;
        }
        NowMs = moment.Ms;
        Steps++;
        action();
        return true;
    }

    private readonly record struct Moment(double Ms, long Count) : IComparable<Moment>
    {
        public int CompareTo(Moment other) => Ms != other.Ms ? Ms.CompareTo(other.Ms) : Count.CompareTo(other.Count);
    }
}
