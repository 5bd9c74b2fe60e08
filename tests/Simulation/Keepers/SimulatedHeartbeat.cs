using Pollux.Replication.Link;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>Mirrors <see cref="HeartbeatLink"/> around the real <see cref="SilenceJudge"/>: one thread hears, one judges and sends.</summary>
internal sealed class SimulatedHeartbeat
{
    private const double TickMs = 5;
    private static readonly object Beat = new();
    private readonly ConnectionEnd _end;
    private readonly SimulatedHost _host;
    private readonly SilenceJudge _judge;
    private readonly SimulatedThread _thread;
    private readonly double _heartbeatMs;
    private readonly Action<SilenceVerdict> _verdict;
    private long _heard;
    private double _judgedMs;
    private double _nextBeatMs;
    private bool _isEnded;

    public SimulatedHeartbeat(SimulatedProcess process, ConnectionEnd end, double heartbeatMs, double detectionMs, Action<SilenceVerdict> verdict)
    {
        (_end, _host, _heartbeatMs, _verdict) = (end, process.Host, heartbeatMs, verdict);
        _judge = new SilenceJudge(detectionMs, TickMs);
        _thread = process.NewThread();
        _judgedMs = _host.NowMs;
        end.Received = _ => _heard++;
    }

    public bool IsLate => _host.NowMs - _judgedMs > _judge.DetectionMs / 2;

    public void Start() => _thread.Soon(SendAndJudge);

    public void Dispose()
    {
        _isEnded = true;
        _end.Close();
    }

    private void SendAndJudge()
    {
        if (_isEnded)
        {
            return;
        }
        var nowMs = _host.NowMs;
        var verdict = _judge.Tick(nowMs, _heard);
        if (verdict != default)
        {
            _verdict(verdict);
        }
        _judgedMs = nowMs;
        if (nowMs >= _nextBeatMs)
        {
            _end.Send(Beat, 32);
            _nextBeatMs = nowMs + _heartbeatMs;
        }
        _thread.After(TickMs + _host.Jitter(), SendAndJudge);
    }
}
