using System.Diagnostics;
using System.Net;
using System.Text;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Migration.Streaming;
using Pollux.Qemu.Process;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Moving;

/// <summary>
/// The destination's side of a live migration: a QEMU that waits, stopped, for the state of another host's, and the two connections over which that comes. It
/// reports to the pair's machine; the guest runs only when that says so.
/// </summary>
internal sealed class MovingDestination : IAsyncDisposable
{
    private readonly Member _me;
    private readonly Action<PairEvent> _post;
    private readonly IncomingMigration _incoming;
    private readonly PeerListener _listener;
    private readonly CancellationTokenSource _ended = new();
    private readonly TaskCompletionSource _sourceLost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private readonly List<byte[]> _ingress = [];
    private Member? _source;
    private MoveControl? _control;
    private FrameStream? _stream;
    private HandOver? _handOver;
    private long _handedOverAt;
    private bool _runs;
    private volatile bool _isDismissed;
    private volatile bool _closed;

    private MovingDestination(Guest guest, IncomingMigration incoming, Machine machine, Member me, PeerTls tls, Action<PairEvent> post)
    {
        (Guest, _incoming, _me, _post) = (guest, incoming, me, post);
        _listener = new PeerListener(machine.TermsOf(me), IPAddress.Parse(machine.Config.ListenAddress), tls, Objection, Admit);
    }

    public Guest Guest { get; }
    public int Port => _listener.Port;

    /// <summary>What the migration came to; null before the guest runs.</summary>
    public MigrationStatus? Result { get; private set; }

    /// <summary>Starts the waiting QEMU, and listens for the source.</summary>
    /// <param name="attach">Takes charge of a QEMU that was just started.</param>
    public static async Task<MovingDestination> PrepareAsync(
        Machine machine, Member me, PeerTls tls, Action<PairEvent> post, Func<QemuProcess, Task<Guest>> attach, CancellationToken cancellation)
    {
        var (process, ram) = machine.Start(QemuSide.Destination);
        ram.Dispose();
        Guest? guest = null;
        try
        {
            guest = await attach(process).ConfigureAwait(false);
            var incoming = await IncomingMigration.PrepareAsync(process, guest.Qmp, machine.Directory.PathsOf(machine.RamFile).Incoming, cancellation).ConfigureAwait(false);
            return new MovingDestination(guest, incoming, machine, me, tls, post);
        }
        catch
        {
            process.Kill();
            if (guest is not null)
            {
                await guest.DisposeAsync().ConfigureAwait(false);
            }
            throw;
        }
    }

    /// <summary>Lets the guest run. Its frames wait for <see cref="Guest.Egress"/>.</summary>
    /// <exception cref="PolluxException">It does not run, or not in time.</exception>
    public async Task RunAsync(TimeSpan within)
    {
        using var patience = new WatchedPatience(within);
        try
        {
            await _incoming.RunAsync(patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e)
        {
            throw new PolluxException($"QEMU did not let it run within {within.TotalSeconds:0} s", "see the VM's QEMU log", e);
        }
        var handOver = _handOver!;
        var pauseMs = handOver.StoppedMs + Stopwatch.GetElapsedTime(_handedOverAt).TotalMilliseconds;
        lock (_ingress)
        {
            Guest.Replay(_ingress);
            Guest.Listen();
            _runs = true;
        }
        Result = new MigrationStatus(
            MigrationState.Done, handOver.Policy, _source!.Host, _me.Host, Math.Round(handOver.ElapsedMs + pauseMs - handOver.StoppedMs, 1), handOver.Iterations, handOver.SentBytes,
            0, 0, Math.Round(handOver.PredictedPauseMs, 1), null, 0, "", Math.Round(pauseMs, 1));
    }

    /// <summary>The last word to the source. What it has kept for the guest meanwhile still comes; then it closes, or is not waited for.</summary>
    public async Task DismissAsync(string why)
    {
        _isDismissed = true;
        _control?.Tell(FrameType.Dismiss, why);
        await Task.WhenAny(_sourceLost.Task, Task.Delay(MovePatience.LastIngress)).ConfigureAwait(false);
        await DisposeAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        if (_closed)
        {
            return;
        }
        _closed = true;
        _listener.Dispose();
        await _ended.CancelAsync().ConfigureAwait(false);
        if (_control is { } control)
        {
            // It lets the last word go out, which this thread must not wait for.
            await Task.Run(control.Dispose).ConfigureAwait(false);
        }
        _stream?.Dispose();
        await _incoming.DisposeAsync().ConfigureAwait(false);
    }

    private string? Objection(Hello hello)
    {
        lock (_lock)
        {
            return hello.Kind switch
            {
                _ when _closed => "this keeper is leaving",
                ConnectionKind.MigrationControl => _source is null ? null : "there is a source already",
                ConnectionKind.Migration when _source is null || _source.Incarnation.Value != hello.Incarnation => "the connection for control comes first",
                ConnectionKind.Migration => _stream is null ? null : "there is a stream already",
                _ => "this keeper waits for a VM that moves here; it is no standby",
            };
        }
    }

    private void Admit(Hello hello, FrameStream frames, Action welcome)
    {
        lock (_lock)
        {
            // Asked again: another handshake, or the end, may have been quicker.
            if (Objection(hello) is not null)
            {
                frames.Dispose();
                return;
            }
            if (hello.Kind == ConnectionKind.MigrationControl)
            {
                _source = new Member(HostId.Create(hello.Host), new Incarnation(hello.Incarnation));
                welcome();
                Report(new PairEvent.PrimaryConnected(_source));
                _control = new MoveControl(frames, Hear, LoseSource);
                return;
            }
            _stream = frames;
            welcome();
            _ = ReceiveAsync(frames.Stream);
        }
    }

    /// <summary>What is still under way from a source that is gone comes soon or never: a host without power does not even end its connections.</summary>
    private void LoseSource(string why)
    {
        _sourceLost.TrySetResult();
        Report(new PairEvent.LinkDown(why));
        _ = EndStreamAsync();
    }

    private async Task EndStreamAsync()
    {
        await Task.Delay(MovePatience.Silence, _ended.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_incoming.IsWhole && !_ended.IsCancellationRequested)
        {
            Report(new PairEvent.ArrivalFailed($"the rest of the stream did not come within {MovePatience.Silence.TotalSeconds:0} s after the source was gone"));
        }
    }

    private async Task ReceiveAsync(Stream stream)
    {
        try
        {
            await _incoming.ReceiveAsync(stream, null, _ended.Token).ConfigureAwait(false);
            Report(new PairEvent.Arrived());
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            // It is over, and whoever ended it knows why.
        }
        catch (Exception e)
        {
            Report(new PairEvent.ArrivalFailed(e.Message));
        }
    }

    private void Hear(FrameHeader header, byte[] payload)
    {
        switch (header.Type)
        {
            case FrameType.Sources:
                Guest.Sources.Merge(payload);
                break;
            case FrameType.Ingress:
                TakeIngress(FrameBatch.Checked(payload));
                break;
            case FrameType.HandOver:
                (_handOver, _handedOverAt) = (HandOver.Parse(payload), Stopwatch.GetTimestamp());
                Report(new PairEvent.HandedOver(Role.FromJson(_handOver.Role), _handOver.Revision));
                break;
            case FrameType.Dismiss:
                Report(new PairEvent.Dismissed(Encoding.UTF8.GetString(payload)));
                break;
            default:
                throw new WireFormatException($"the source sent a {header.Type} frame");
        }
    }

    private void TakeIngress(byte[] frames)
    {
        lock (_ingress)
        {
            if (!_runs)
            {
                _ingress.Add(frames);
                return;
            }
            try
            {
                Guest.Replay([frames]);
            }
            catch (Exception e) when (e is PolluxException or ObjectDisposedException)
            {
                KeeperLog.Say($"frames that the source had kept cannot be given to the guest: {e.Message}");
            }
        }
    }

    private void Report(PairEvent e)
    {
        if (!_closed && !_isDismissed)
        {
            _post(e);
        }
    }
}
