using System.Net;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Link;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Replication.Standby;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Standby;

/// <summary>
/// The standby's end of the link: accepts one primary, on two connections (data, heartbeats), and feeds the image.
/// </summary>
internal sealed class StandbyService : IReceiverEvents, IDisposable
{
    private readonly Guest _guest;
    private readonly StandbyImage _image;
    private readonly ChunkPool _pool;
    private readonly Action<PairEvent> _post;
    private readonly PeerListener _listener;
    private readonly Lock _lock = new();
    private EpochReceiver? _receiver;
    private LinkSender? _sender;
    private HeartbeatLink? _heartbeat;
    private Member? _primary;
    private volatile bool _closed;

    public StandbyService(PeerTerms terms, IPAddress address, PeerTls tls, Guest guest, StandbyImage image, ChunkPool pool, Action<PairEvent> post)
    {
        (_guest, _image, _pool, _post) = (guest, image, pool, post);
        _listener = new PeerListener(terms, address, tls, Objection, Admit);
    }

    public int Port => _listener.Port;
    public IngressLog Ingress { get; } = new();
    public EgressLog Egress { get; } = new();
    public ScrubAlarms Alarms { get; } = new();
    public long ScrubbedPages => _receiver?.ScrubbedPages ?? 0;

    public void Acknowledge(Epoch epoch)
    {
        _sender?.Post(FrameType.Acknowledge, epoch.Value, _receiver?.LastArrival.ToBytes() ?? []);
        FaultPoint.Pass(FaultPoints.Acknowledged);
        _receiver?.ApplyUpTo(epoch);
        Ingress.Committed(epoch);
        Egress.Committed(epoch);
    }

    public void SetDetection(int detectionMs) => _heartbeat?.SetDetection(detectionMs);

    public void Dismiss(string why) => _sender?.Post(FrameType.Dismiss, 0, System.Text.Encoding.UTF8.GetBytes(why));

    /// <summary>Waits until the image holds <paramref name="epoch"/>, then closes the link: this image belongs to its own guest now.</summary>
    public void Seal(Epoch epoch)
    {
        _receiver?.WaitApplied(epoch);
        Dispose();
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }
            _closed = true;
        }
        _listener.Dispose();
        _heartbeat?.Dispose();
        _sender?.FinishUrgent(TimeSpan.FromMilliseconds(100));
        _receiver?.Dispose();
    }

    void IReceiverEvents.EpochWhole(Epoch epoch) => Report(new PairEvent.EpochWhole(epoch));

    void IReceiverEvents.LinkEnded(string why) => Report(new PairEvent.LinkDown(why));

    void IReceiverEvents.ApplyFailed(string why)
    {
        Dismiss(why);
        Report(new PairEvent.Dismissed(why));
    }

    void IReceiverEvents.ScrubFailed(Epoch epoch, string why)
    {
        Alarms.Note(why);
        _sender?.Post(FrameType.ScrubAlarm, epoch.Value, System.Text.Encoding.UTF8.GetBytes(why));
        Dismiss(why);
        Report(new PairEvent.Dismissed(why));
    }

    void IReceiverEvents.Control(FrameHeader header, byte[] payload)
    {
        switch (header.Type)
        {
            case FrameType.Ingress:
                Ingress.Add(new Epoch(header.Epoch), FrameBatch.Checked(payload));
                break;
            case FrameType.Egress:
                Egress.Add(new Epoch(header.Epoch), FrameBatch.Checked(payload));
                break;
            case FrameType.Sources:
                _guest.Sources.Merge(payload);
                break;
            case FrameType.Protected:
                Report(new PairEvent.ProtectionTold());
                break;
            case FrameType.PrimaryDown:
                Report(new PairEvent.PrimaryDown(System.Text.Encoding.UTF8.GetString(payload)));
                break;
            case FrameType.TakeNow:
                Report(new PairEvent.TakeNow());
                break;
            case FrameType.Dismiss:
                Report(new PairEvent.Dismissed(System.Text.Encoding.UTF8.GetString(payload)));
                break;
            default:
                throw new WireFormatException($"the primary sent a {header.Type} frame");
        }
    }

    private string? Objection(Hello hello)
    {
        lock (_lock)
        {
            return hello switch
            {
                _ when _closed => "this standby is leaving",
                { Kind: ConnectionKind.Data } when _receiver is not null => "there is a primary already",
                { Kind: ConnectionKind.Heartbeat } when _heartbeat is not null || _primary is null || _primary.Incarnation.Value != hello.Incarnation => "the data connection comes first",
                { Kind: ConnectionKind.Migration or ConnectionKind.MigrationControl } => "this keeper stands by; nothing can move here",
                _ => null,
            };
        }
    }

    private void Admit(Hello hello, FrameStream frames, Action welcome)
    {
        lock (_lock)
        {
            // Asked again: another handshake, or the end of this standby, may have been quicker.
            if (_closed || (hello.Kind == ConnectionKind.Data ? _receiver is not null : _heartbeat is not null))
            {
                frames.Dispose();
                return;
            }
            if (hello.Kind == ConnectionKind.Data)
            {
                _primary = new Member(HostId.Create(hello.Host), new Incarnation(hello.Incarnation));
                welcome();
                _sender = new LinkSender(new EpochFrames(frames), "standby", null, null, why => Report(new PairEvent.LinkDown(why)));
                _receiver = new EpochReceiver(frames, _image, _pool, "standby", this);
                Report(new PairEvent.PrimaryConnected(_primary));
                _receiver.Start();
                return;
            }
            welcome();
            _heartbeat = new HeartbeatLink(frames, "standby", hello.HeartbeatMs, hello.DetectionMs, Judge);
            _heartbeat.Start();
        }
    }

    private void Judge(SilenceVerdict verdict)
    {
        if (verdict.SilentMs is { } silent)
        {
            Report(new PairEvent.PeerSilent(silent));
        }
        if (verdict.HeardAgain)
        {
            Report(new PairEvent.PeerHeard());
        }
    }

    private void Report(PairEvent e)
    {
        if (!_closed)
        {
            _post(e);
        }
    }
}
