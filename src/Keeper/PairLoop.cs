using System.Collections.Concurrent;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <summary>Carries out what the pair's machine decides. Called on the loop's thread; must not block for longer than a system call.</summary>
internal interface IPairEdge
{
    void Do(PairEffect effect);

    /// <summary>The machine is about to hear this.</summary>
    void Hears(PairEvent e);

    /// <summary>Whether what <paramref name="from"/> reported still counts.</summary>
    bool IsCurrent(object from);

    /// <summary>The phase changed; for logs and status.</summary>
    void Moved(PairState before, PairState after, PairEvent because);
}

/// <summary>
/// The thread that owns the pair's state: events come in from everywhere, one at a time goes through <see cref="PairMachine.Step"/>, and its
/// effects are carried out in order before the next.
/// </summary>
internal sealed class PairLoop
{
    /// <summary>More events waiting than this means that the loop is stuck; the process ends and the other side goes on.</summary>
    private const int MaxWaiting = 100_000;

    private readonly BlockingCollection<(PairEvent Event, object? From)> _events = [];
    private readonly IPairEdge _edge;
    private readonly Thread _thread;
    private PairState _state;

    public PairLoop(PairState initial, IPairEdge edge)
    {
        (_state, _edge) = (initial, edge);
        _thread = new Thread(Run) { IsBackground = true, Name = "pair" };
    }

    /// <summary>A consistent snapshot.</summary>
    public PairState State => Volatile.Read(ref _state);

    public void Start() => _thread.Start();

    /// <param name="from">Who reports it, if that may be over by the time it is heard (<see cref="IPairEdge.IsCurrent"/>).</param>
    public void Post(PairEvent e, object? from = null)
    {
        Invariant.Check(_events.Count < MaxWaiting, "the pair's loop keeps up with its events");
        _events.Add((e, from));
    }

    private void Run()
    {
        foreach (var (e, from) in _events.GetConsumingEnumerable())
        {
            if (from is not null && !_edge.IsCurrent(from))
            {
                continue;
            }
            FaultPoint.Pass(e);
            _edge.Hears(e);
            var before = _state;
            var (after, effects) = PairMachine.Step(before, e);
            Volatile.Write(ref _state, after);
            if (before.Phase != after.Phase || before.Reason != after.Reason)
            {
                _edge.Moved(before, after, e);
            }
            foreach (var effect in effects)
            {
                FaultPoint.Pass(effect);
                _edge.Do(effect);
            }
        }
    }
}
