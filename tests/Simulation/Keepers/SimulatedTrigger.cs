using Pollux.Replication.Checkpointing;
using Pollux.Simulation.Hosts;

namespace Pollux.Simulation.Keepers;

/// <summary>Mirrors TriggerLoop around the real <see cref="TriggerPolicy"/>: asks QEMU for a checkpoint, and again when nothing came of it.</summary>
internal sealed class SimulatedTrigger(SimulatedProcess process, TriggerSettings settings, Action trigger, Func<TriggerView> look)
{
    private const double RepeatMs = 50;
    private readonly SimulatedThread _thread = process.NewThread();
    private double _resumedMs;
    private double _requestedMs = double.NaN;
    private bool _running;
    private bool _demanded;
    private bool _closed;
    private bool _isAwake;
    private long _timer;

    public void Wake()
    {
        if (!_isAwake && _running && !_closed)
        {
            _isAwake = true;
            _thread.Soon(Consider);
        }
    }

    public void Demand()
    {
        _demanded = true;
        Wake();
    }

    public void GuestStops() => (_running, _demanded) = (false, false);

    public void GuestRuns()
    {
        (_running, _resumedMs, _requestedMs) = (true, process.Host.NowMs, double.NaN);
        Wake();
    }

    public void Dispose() => _closed = true;

    private void Consider()
    {
        _isAwake = false;
        var timer = ++_timer;
        if (!_running || _closed)
        {
            return;
        }
        if (WaitMs() is not { } wait)
        {
            return;
        }
        if (wait > 0)
        {
            process.After(wait, () =>
            {
                if (timer == _timer)
                {
                    Wake();
                }
            });
            return;
        }
        _requestedMs = process.Host.NowMs;
        trigger();
        Wake();
    }

    private double? WaitMs()
    {
        if (!double.IsNaN(_requestedMs))
        {
            return Math.Max(0, RepeatMs - (process.Host.NowMs - _requestedMs));
        }
        return _demanded ? 0 : TriggerPolicy.Decide(settings, look() with { RunMs = process.Host.NowMs - _resumedMs }).AfterMs;
    }
}
