using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
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

/// <summary>What a standby insists on before it lets a primary in.</summary>
internal sealed record StandbyTerms(VmName Vm, Member Me, string SpecDigest, string QemuVersion, long RamBytes);

/// <summary>
/// The standby's end of the link: accepts one primary, on two connections (data, heartbeats), and feeds the image. Who shows no
/// certificate of this cluster, or speaks of another VM, incarnation, spec or QEMU, gets a reason and nothing else.
/// </summary>
internal sealed class StandbyService : IReceiverEvents, IDisposable
{
    private static readonly TimeSpan HandshakeWithin = TimeSpan.FromSeconds(5);
    private const int MaxHandshakes = 8;

    private readonly StandbyTerms _terms;
    private readonly PeerTls _tls;
    private readonly Guest _guest;
    private readonly StandbyImage _image;
    private readonly ChunkPool _pool;
    private readonly Action<PairEvent> _post;
    private readonly TcpListener _listener;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _handshakes = new(MaxHandshakes);
    private EpochReceiver? _receiver;
    private LinkSender? _sender;
    private HeartbeatLink? _heartbeat;
    private Member? _primary;
    private int _refused;
    private volatile bool _closed;

    public StandbyService(StandbyTerms terms, IPAddress address, PeerTls tls, Guest guest, StandbyImage image, ChunkPool pool, Action<PairEvent> post)
    {
        (_terms, _tls, _guest, _image, _pool, _post) = (terms, tls, guest, image, pool, post);
        _listener = new TcpListener(address, 0);
        _listener.Start();
        new Thread(Accept) { IsBackground = true, Name = "standby accept" }.Start();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;
    public IngressLog Ingress { get; } = new();
    public EgressLog Egress { get; } = new();
    public ScrubAlarms Alarms { get; } = new();
    public long ScrubbedPages => _receiver?.ScrubbedPages ?? 0;

    public void Acknowledge(Epoch epoch)
    {
        _sender?.Post(FrameType.Acknowledge, epoch.Value, []);
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
        _listener.Stop();
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

    private void Accept()
    {
        try
        {
            while (!_closed)
            {
                var client = _listener.AcceptTcpClient();
                _handshakes.Wait();
                new Thread(() => Handshake(client)) { IsBackground = true, Name = "standby handshake" }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Closed.
        }
    }

    private void Handshake(TcpClient client)
    {
        SslStream? stream = null;
        try
        {
            client.NoDelay = true;
            DataTimeout.Apply(client.Client);
            client.ReceiveTimeout = client.SendTimeout = (int)HandshakeWithin.TotalMilliseconds;
            stream = new SslStream(client.GetStream());
            stream.AuthenticateAsServer(_tls.ForServer());
            var frames = new FrameStream(stream);
            var header = frames.ReadHeader();
            if (header.Type != FrameType.Hello)
            {
                throw new WireFormatException($"a {header.Type} frame came where Hello is expected");
            }
            var hello = Hello.Parse(frames.ReadPayload(header));
            if (Objection(hello, PeerTls.PeerOf(stream)) is { } why)
            {
                SayRefused($"refused {client.Client.RemoteEndPoint}: {why}");
                frames.Write(FrameType.Refuse, 0, System.Text.Encoding.UTF8.GetBytes(why));
                frames.Dispose();
                return;
            }
            frames.Write(FrameType.Welcome, 0, new Welcome(_terms.Me.Host.Value, _terms.Me.Incarnation.Value, Dialect.Newest).ToJson());
            client.ReceiveTimeout = client.SendTimeout = 0;
            if (hello.Kind == ConnectionKind.Heartbeat)
            {
                HeartbeatPriority.Apply(client.Client);
            }
            Admit(hello, frames);
            stream = null;
        }
        catch (Exception e) when (e is IOException or AuthenticationException or PolluxException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            SayRefused($"a connection came to nothing: {e.Message}");
        }
        finally
        {
            stream?.Dispose();
            _handshakes.Release();
        }
    }

    /// <summary>Whoever can reach the port can make such lines: the log must not fill the host's memory.</summary>
    private void SayRefused(string line)
    {
        const int saidEach = 20;
        const int thenEvery = 1000;
        var count = Interlocked.Increment(ref _refused);
        if (count <= saidEach || count % thenEvery == 0)
        {
            KeeperLog.Say(count > saidEach ? $"{line} ({count} so far)" : line);
        }
    }

    private string? Objection(Hello hello, HostId peer)
    {
        lock (_lock)
        {
            return hello switch
            {
                _ when hello.Host != peer.Value => $"the certificate is {peer}'s, but {hello.Host} is said to call",
                _ when hello.Vm != _terms.Vm.Value => $"this keeper keeps {_terms.Vm}, not {hello.Vm}",
                _ when hello.ExpectedIncarnation != _terms.Me.Incarnation.Value => $"this keeper is {_terms.Me.Incarnation}, not {hello.ExpectedIncarnation}",
                _ when hello.SpecDigest != _terms.SpecDigest => "the two sides have different specs of this VM",
                _ when hello.QemuVersion != _terms.QemuVersion => $"the primary has QEMU {hello.QemuVersion}, this standby {_terms.QemuVersion}",
                _ when hello.RamBytes != _terms.RamBytes => $"the primary's guest has {hello.RamBytes} bytes of RAM, this standby's {_terms.RamBytes}",
                _ when _closed => "this standby is leaving",
                { Kind: ConnectionKind.Data } when _receiver is not null => "there is a primary already",
                { Kind: ConnectionKind.Heartbeat } when _heartbeat is not null || _primary is null || _primary.Incarnation.Value != hello.Incarnation => "the data connection comes first",
                _ => null,
            };
        }
    }

    private void Admit(Hello hello, FrameStream frames)
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
                _sender = new LinkSender(frames, "standby", null, null, why => Report(new PairEvent.LinkDown(why)));
                _receiver = new EpochReceiver(frames, _image, _pool, "standby", this);
                Report(new PairEvent.PrimaryConnected(_primary));
                _receiver.Start();
                return;
            }
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
