using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Linux.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <summary>What a keeper that waits insists on before it lets another in: state moves only between equals.</summary>
internal sealed record PeerTerms(VmName Vm, Member Me, string SpecDigest, string QemuVersion, long RamBytes)
{
    /// <summary>Why who says <paramref name="hello"/> with the certificate of <paramref name="peer"/> is not let in; null: no reason.</summary>
    public string? Objection(Hello hello, HostId peer) => hello switch
    {
        _ when hello.Host != peer.Value => $"the certificate is {peer}'s, but {hello.Host} is said to call",
        _ when hello.Vm != Vm.Value => $"this keeper keeps {Vm}, not {hello.Vm}",
        _ when hello.ExpectedIncarnation != Me.Incarnation.Value => $"this keeper is {Me.Incarnation}, not {hello.ExpectedIncarnation}",
        _ when hello.SpecDigest != SpecDigest => "the two sides have different specs of this VM",
        _ when hello.QemuVersion != QemuVersion => $"{hello.Host} has QEMU {hello.QemuVersion}, {Me.Host} has {QemuVersion}",
        _ when hello.RamBytes != RamBytes => $"the guest on {hello.Host} has {hello.RamBytes} bytes of RAM, the one here {RamBytes}",
        _ => null,
    };
}

/// <summary>
/// Where a keeper waits for another one. Who shows no certificate of this cluster, or speaks of another VM, incarnation, spec or QEMU, gets a
/// reason and nothing else.
/// </summary>
internal sealed class PeerListener : IDisposable
{
    private static readonly TimeSpan HandshakeWithin = TimeSpan.FromSeconds(5);
    private const int MaxHandshakes = 8;

    private readonly PeerTerms _terms;
    private readonly PeerTls _tls;
    private readonly Func<Hello, string?> _objection;
    private readonly Action<Hello, FrameStream, Action> _admit;
    private readonly TcpListener _listener;
    private readonly SemaphoreSlim _handshakes = new(MaxHandshakes);
    private int _refused;
    private volatile bool _closed;

    /// <param name="objection">Why this connection does not suit what there is already; null: no reason.</param>
    /// <param name="admit">
    /// Takes the connection over, and says Welcome, before anything else, by the action given: once it is there for a further connection to find.
    /// Called on a thread of its own.
    /// </param>
    public PeerListener(PeerTerms terms, IPAddress address, PeerTls tls, Func<Hello, string?> objection, Action<Hello, FrameStream, Action> admit)
    {
        (_terms, _tls, _objection, _admit) = (terms, tls, objection, admit);
        _listener = new TcpListener(address, 0);
        _listener.Start();
        new Thread(Accept) { IsBackground = true, Name = "peer accept" }.Start();
    }

    /// <summary>A keeper without the library understands all but compression.</summary>
    private static int Speaks => Lz4.IsAvailable ? Dialect.Newest : Dialect.Compression - 1;

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Dispose()
    {
        _closed = true;
        _listener.Stop();
    }

    private void Accept()
    {
        try
        {
            while (!_closed)
            {
                var client = _listener.AcceptTcpClient();
                _handshakes.Wait();
                new Thread(() => Handshake(client)) { IsBackground = true, Name = "peer handshake" }.Start();
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
        // A time-out for each read alone would let one byte now and then hold a place for ever.
        var patience = new Timer(_ => client.Dispose(), null, HandshakeWithin, Timeout.InfiniteTimeSpan);
        try
        {
            client.NoDelay = true;
            DataTimeout.Apply(client.Client);
            client.ReceiveTimeout = client.SendTimeout = (int)HandshakeWithin.TotalMilliseconds;
            stream = new SslStream(client.GetStream());
            stream.AuthenticateAsServer(_tls.ForServer());
            var frames = new FrameStream(stream, client.Client);
            var header = frames.ReadHeader();
            if (header.Type != FrameType.Hello)
            {
                throw new WireFormatException($"a {header.Type} frame came where Hello is expected");
            }
            var hello = Hello.Parse(frames.ReadPayload(header));
            if ((_terms.Objection(hello, PeerTls.PeerOf(stream)) ?? _objection(hello)) is { } why)
            {
                SayRefused($"refused {client.Client.RemoteEndPoint}: {why}");
                frames.Write(FrameType.Refuse, 0, Encoding.UTF8.GetBytes(why));
                frames.Dispose();
                return;
            }
            client.ReceiveTimeout = client.SendTimeout = 0;
            if (!patience.Change(Timeout.Infinite, Timeout.Infinite))
            {
                return;
            }
            if (hello.Kind is ConnectionKind.Heartbeat or ConnectionKind.MigrationControl)
            {
                HeartbeatPriority.Apply(client.Client);
            }
            _admit(hello, frames, () => frames.Write(FrameType.Welcome, 0, new Welcome(_terms.Me.Host.Value, _terms.Me.Incarnation.Value, Speaks).ToJson()));
            stream = null;
        }
        catch (Exception e) when (e is IOException or AuthenticationException or PolluxException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            SayRefused($"a connection came to nothing: {e.Message}");
        }
        finally
        {
            patience.Dispose();
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
}
