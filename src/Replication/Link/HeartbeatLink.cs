using System.Diagnostics;
using System.Net.Sockets;
using Pollux.Linux;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Link;

/// <summary>
/// Heartbeats on a connection and threads of their own: one sends and judges, one listens. Real-time threads where the system allows,
/// so that a busy guest delays neither.
/// </summary>
public sealed class HeartbeatLink : IDisposable
{
    private const int TickMs = 5;
    private readonly FrameStream _frames;
    private readonly SilenceJudge _judge;
    private readonly int _heartbeatMs;
    private readonly Action<SilenceVerdict> _verdict;
    private readonly CancellationTokenSource _ended = new();
    private readonly Thread _listener;
    private readonly Thread _sender;
    private long _heard;
    private long _judged = Stopwatch.GetTimestamp();

    /// <param name="verdict">Called on the sending thread for every verdict that says anything; must not block.</param>
    public HeartbeatLink(FrameStream frames, string name, int heartbeatMs, int detectionMs, Action<SilenceVerdict> verdict)
    {
        _frames = frames;
        _heartbeatMs = heartbeatMs;
        _judge = new SilenceJudge(detectionMs, TickMs);
        _verdict = verdict;
        _listener = new Thread(Listen) { IsBackground = true, Name = $"{name} heartbeat in" };
        _sender = new Thread(SendAndJudge) { IsBackground = true, Name = $"{name} heartbeat out" };
    }

    public void Start()
    {
        _listener.Start();
        _sender.Start();
    }

    /// <summary>
    /// The judge itself has not looked for longer than half the detection time: this process was frozen or starved, and a verdict that
    /// says so is about to come.
    /// </summary>
    public bool IsLate => Stopwatch.GetElapsedTime(Interlocked.Read(ref _judged)).TotalMilliseconds > _judge.DetectionMs / 2;

    public void SetDetection(int detectionMs) => _judge.DetectionMs = detectionMs;

    public void Dispose()
    {
        _ended.Cancel();
        _frames.Dispose();
    }

    private void Listen()
    {
        Scheduling.TryMakeRealTime();
        try
        {
            while (!_ended.IsCancellationRequested)
            {
                var header = _frames.ReadHeader();
                if (header.Type != FrameType.Heartbeat || header.Length != 0)
                {
                    throw new WireFormatException($"a {header.Type} frame of {header.Length} bytes came on the heartbeat connection");
                }
                Interlocked.Increment(ref _heard);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or WireFormatException or InvalidOperationException)
        {
            // A connection that is gone is silence; the judge says when it has lasted long enough.
        }
    }

    private void SendAndJudge()
    {
        Scheduling.TryMakeRealTime();
        var sent = 0L;
        var nextBeatMs = 0.0;
        var broken = false;
        while (!_ended.IsCancellationRequested)
        {
            // One look at the clock: a freeze after it is found by the next, or by IsLate until then.
            var now = Stopwatch.GetTimestamp();
            var nowMs = now * 1000.0 / Stopwatch.Frequency;
            var verdict = _judge.Tick(nowMs, Interlocked.Read(ref _heard));
            if (verdict != default)
            {
                _verdict(verdict);
            }
            // After the verdict: whoever sees that the judge is on time again finds its word spoken.
            Interlocked.Exchange(ref _judged, now);
            if (!broken && nowMs >= nextBeatMs)
            {
                broken = !TrySend(sent++);
                nextBeatMs = nowMs + _heartbeatMs;
            }
            _ended.Token.WaitHandle.WaitOne(TickMs);
        }
    }

    /// <summary>A side that does not take its heartbeats, dead or frozen, must not stop the judge.</summary>
    private bool TrySend(long count)
    {
        try
        {
            if (_frames.TakesMore)
            {
                _frames.Write(FrameType.Heartbeat, count, []);
            }
            return true;
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            return false;
        }
    }
}
