using System.Diagnostics;
using Pollux.Core;
using Pollux.Replication.Checkpointing;

namespace Pollux.Keeper.Primary;

/// <summary>
/// Asks QEMU for a checkpoint when <see cref="TriggerPolicy"/> says so. A request is repeated after the guest has resumed, since one that
/// reaches QEMU inside a checkpoint can be lost, and when QEMU does not react.
/// </summary>
internal sealed class TriggerLoop : IDisposable
{
    private const double RepeatMs = 50;
    private readonly object _lock = new();
    private readonly Action _trigger;
    private readonly Func<TriggerView> _look;
    private readonly Thread _thread;
    private TriggerSettings _settings;
    private long _resumedAt;
    private long _requestedAt;
    private long _lastHeld;
    private long _lastHeldAt;
    private bool _running;
    private bool _demanded;
    private bool _closed;

    /// <param name="look">What the policy looks at, but for the times.</param>
    public TriggerLoop(string name, TriggerSettings settings, Action trigger, Func<TriggerView> look)
    {
        (_settings, _trigger, _look) = (settings, trigger, look);
        _thread = new Thread(Run) { IsBackground = true, Name = $"{name} trigger" };
        _thread.Start();
    }

    /// <summary>Something that the policy looks at has changed.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            Monitor.Pulse(_lock);
        }
    }

    public void Change(TriggerSettings settings)
    {
        lock (_lock)
        {
            _settings = settings;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>One checkpoint as soon as possible, whatever the policy says.</summary>
    public void Demand()
    {
        lock (_lock)
        {
            _demanded = true;
            Monitor.Pulse(_lock);
        }
    }

    public void GuestStops()
    {
        lock (_lock)
        {
            _running = false;
            _demanded = false;
        }
    }

    public void GuestRuns()
    {
        lock (_lock)
        {
            _running = true;
            _resumedAt = Stopwatch.GetTimestamp();
            _requestedAt = 0;
            Monitor.Pulse(_lock);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.Pulse(_lock);
        }
    }

    private void Run()
    {
        while (true)
        {
            lock (_lock)
            {
                if (_closed)
                {
                    return;
                }
                var waitMs = _running ? Consider() : Timeout.Infinite;
                if (waitMs != 0)
                {
                    Monitor.Wait(_lock, waitMs);
                    continue;
                }
                _requestedAt = Stopwatch.GetTimestamp();
            }
            try
            {
                _trigger();
            }
            catch (PolluxException)
            {
                // QEMU is gone; whoever watches it says so.
                return;
            }
        }
    }

    /// <summary>How long to wait, in ms; 0: trigger now.</summary>
    private int Consider()
    {
        if (_requestedAt != 0)
        {
            var since = Stopwatch.GetElapsedTime(_requestedAt).TotalMilliseconds;
            return since >= RepeatMs ? 0 : (int)Math.Ceiling(RepeatMs - since);
        }
        if (_demanded)
        {
            return 0;
        }
        var (now, seen) = (Stopwatch.GetTimestamp(), _look());
        if (seen.HeldFrames != _lastHeld)
        {
            (_lastHeld, _lastHeldAt) = (seen.HeldFrames, now);
        }
        var view = seen with { RunMs = Stopwatch.GetElapsedTime(_resumedAt, now).TotalMilliseconds, QuietMs = Stopwatch.GetElapsedTime(_lastHeldAt, now).TotalMilliseconds };
        return TriggerPolicy.Decide(_settings, view).AfterMs is { } after ? (int)Math.Ceiling(after) : Timeout.Infinite;
    }
}
