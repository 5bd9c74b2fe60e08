namespace Pollux.Simulation.Hosts;

/// <summary>A process: it lives, may be frozen and killed. What it was about to do is not done any more when it is dead, and later when it is frozen.</summary>
internal sealed class SimulatedProcess(SimulatedHost host, string name)
{
    private readonly List<SimulatedThread> _behind = [];
    private readonly List<Action> _overdue = [];
    private bool _isStopped;

    public SimulatedHost Host => host;
    public string Name => name;
    public bool IsAlive { get; private set; } = true;
    public bool IsFrozen => _isStopped || host.IsFrozen;

    /// <summary>When it last ran again after having been frozen, and for how long it had been, in the world's ms.</summary>
    public (double AtMs, double ForMs) LastThaw { get; private set; } = (double.NegativeInfinity, 0);

    /// <summary>Called once, when it is dead.</summary>
    public Action? Died { get; set; }

    private double _frozenForMs;
    private double _frozenAt = host.IsFrozen ? host.Time.NowMs : double.NaN;

    public SimulatedThread NewThread() => new(this);

    /// <summary>Does it after <paramref name="ms"/> of this host's time, on a thread of its own.</summary>
    public void After(double ms, Action action) => host.Time.After(ms / host.Rate, () => RunOrWait(action));

    /// <summary>Mirrors WatchedPatience: what passes while the process is frozen does not count.</summary>
    public void AfterWatched(double ms, Action action)
    {
        var before = _frozenForMs;
        After(ms, () =>
        {
            if (_frozenForMs > before)
            {
                AfterWatched((_frozenForMs - before) * host.Rate, action);
                return;
            }
            action();
        });
    }

    public void Soon(Action action) => After(host.Jitter(), action);

    /// <summary>Stops this process alone.</summary>
    public void Freeze()
    {
        NoteFrozen();
        _isStopped = true;
    }

    public void Thaw()
    {
        _isStopped = false;
        RunAgain();
    }

    /// <summary>To be called before the process or its host freezes.</summary>
    public void NoteFrozen()
    {
        if (!IsFrozen)
        {
            _frozenAt = host.Time.NowMs;
        }
    }

    /// <summary>Catches up, if nothing holds it any more.</summary>
    public void RunAgain()
    {
        if (!IsAlive || IsFrozen || double.IsNaN(_frozenAt))
        {
            return;
        }
        LastThaw = (host.Time.NowMs, host.Time.NowMs - _frozenAt);
        _frozenForMs += LastThaw.ForMs;
        _frozenAt = double.NaN;
        foreach (var thread in _behind)
        {
            thread.Thaw();
        }
        foreach (var action in _overdue)
        {
            After(host.Jitter() * 5, action);
        }
        _behind.Clear();
        _overdue.Clear();
    }

    public void Kill()
    {
        if (IsAlive)
        {
            IsAlive = false;
            host.Processes.Remove(this);
            Died?.Invoke();
        }
    }

    internal void Missed(SimulatedThread thread) => _behind.Add(thread);

    private void RunOrWait(Action action)
    {
        if (!IsAlive)
        {
            return;
        }
        if (IsFrozen)
        {
            _overdue.Add(action);
            return;
        }
        action();
    }
}
