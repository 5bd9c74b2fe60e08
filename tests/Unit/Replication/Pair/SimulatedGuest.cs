using Pollux.Core;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>
/// A guest as far as the pair's promises go: a history of steps, each with a mark of its own, and frames that say how long the history was
/// when they were sent. Two guests that went apart differ in a mark.
/// </summary>
internal sealed class SimulatedGuest(IEnumerable<int> history)
{
    private readonly Queue<(Epoch Epoch, int Length)> _held = new();

    public List<int> History { get; } = [.. history];
    public bool IsStopped { get; set; }
    public bool Passes { get; private set; }
    public Epoch Open { get; set; } = Epoch.None;

    /// <summary>Called for each frame that leaves, with the history it tells of.</summary>
    public required Action<SimulatedGuest, int> Leaves { get; init; }

    private void Step(int mark)
    {
        History.Add(mark);
        if (Passes)
        {
            Leaves(this, History.Count);
        }
        else
        {
            _held.Enqueue((Open, History.Count));
        }
    }

    public void StepIfRunning(int mark)
    {
        if (!IsStopped)
        {
            Step(mark);
        }
    }

    public void Hold(Epoch open) => (Passes, Open) = (false, open);

    public void Release(Epoch upTo)
    {
        while (!Passes && _held.TryPeek(out var frame) && frame.Epoch <= upTo)
        {
            Leaves(this, _held.Dequeue().Length);
        }
    }

    public void Pass()
    {
        while (_held.TryDequeue(out var frame))
        {
            Leaves(this, frame.Length);
        }
        Passes = true;
    }

    /// <summary>The keeper died: what it held is lost, and what the guest says goes nowhere.</summary>
    public void Orphan()
    {
        _held.Clear();
        Passes = false;
        Open = new Epoch(long.MaxValue);
    }
}
