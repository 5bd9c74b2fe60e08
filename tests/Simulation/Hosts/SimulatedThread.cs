namespace Pollux.Simulation.Hosts;

/// <summary>What a thread's code waits for: time, a condition that a <see cref="SimulatedThread.Poke"/> makes it look at again, or whichever comes first.</summary>
internal readonly record struct Pause(double Ms, Func<bool>? Until = null)
{
    public static Pause For(double ms) => new(ms);
    public static Pause UntilTrue(Func<bool> condition, double atMostMs = double.PositiveInfinity) => new(atMostMs, condition);
}

/// <summary>
/// A thread of a process: does one thing after another, each a moment after it was asked for, and nothing while its process is frozen.
/// It may run code that pauses (<see cref="Run"/>); between two pauses nothing else happens in the world.
/// </summary>
internal sealed class SimulatedThread(SimulatedProcess process)
{
    private readonly Queue<Action> _work = new();
    private Action? _wake;
    private double _notBefore;
    private int _missed;
    private IEnumerator<Pause>? _code;
    private Func<bool>? _until;
    private long _pause;

    /// <summary>Does it after <paramref name="ms"/> of this host's time, and after all that was asked for before.</summary>
    public void After(double ms, Action action)
    {
        if (!process.IsAlive)
        {
            return;
        }
        _work.Enqueue(action);
        Schedule(ms);
    }

    public void Soon(Action action) => After(process.Host.Jitter(), action);

    /// <summary>Begins code; each of its pauses is a point at which the host may freeze or die.</summary>
    public void Run(IEnumerable<Pause> code)
    {
        _code = code.GetEnumerator();
        Soon(Continue);
    }

    /// <summary>Something that the code waits for may have changed.</summary>
    public void Poke()
    {
        if (_until is { } until && until())
        {
            _until = null;
            _pause++;
            Soon(Continue);
        }
    }

    public void End() => (_code, _until) = (null, null);

    /// <summary>The process runs again after a freeze.</summary>
    public void Thaw()
    {
        for (; _missed > 0; _missed--)
        {
            Schedule(process.Host.Jitter() * 5);
        }
    }

    private void Schedule(double ms)
    {
        var time = process.Host.Time;
        _notBefore = Math.Max(_notBefore, time.NowMs + (ms / process.Host.Rate));
        time.At(_notBefore, _wake ??= Wake);
    }

    private void Wake()
    {
        if (!process.IsAlive)
        {
            return;
        }
        if (process.IsFrozen)
        {
            if (_missed++ == 0)
            {
                process.Missed(this);
            }
            return;
        }
        if (_work.TryDequeue(out var action))
        {
            action();
        }
    }

    private void Continue()
    {
        if (_code is not { } code)
        {
            return;
        }
        if (!code.MoveNext())
        {
            _code = null;
            return;
        }
        var pause = code.Current;
        if (pause.Until is null)
        {
            After(pause.Ms, Continue);
            return;
        }
        _until = pause.Until;
        var number = ++_pause;
        if (!double.IsPositiveInfinity(pause.Ms))
        {
            process.After(pause.Ms, () => GiveUp(number));
        }
        Poke();
    }

    private void GiveUp(long pause)
    {
        if (_until is not null && pause == _pause)
        {
            _until = null;
            _pause++;
            Continue();
        }
    }
}
