using System.Net.Security;
using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Replication.Link;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <summary>The two connections to a standby that let this primary in.</summary>
/// <param name="Speaks">The newest <see cref="Dialect"/> that it understands.</param>
internal sealed record StandbyConnection(FrameStream Data, FrameStream Heartbeat, int Speaks);

/// <summary>How a keeper reaches another one that waits: mutual TLS, then Hello and Welcome.</summary>
internal static class PeerConnector
{
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(5);

    /// <summary>Once for data and once for heartbeats. Throws <see cref="PolluxException"/> with the standby's own words when it refuses.</summary>
    public static StandbyConnection Connect(StandbyTarget standby, PeerTls tls, Hello hello)
    {
        var (data, welcome) = ConnectOne(standby, tls, hello with { Kind = ConnectionKind.Data });
        try
        {
            return new StandbyConnection(data, ConnectOne(standby, tls, hello with { Kind = ConnectionKind.Heartbeat }).Frames, welcome.Speaks);
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    /// <summary>One connection, of the kind that <paramref name="hello"/> says.</summary>
    public static (FrameStream Frames, Welcome Welcome) ConnectOne(StandbyTarget standby, PeerTls tls, Hello hello)
    {
        var client = new TcpClient { NoDelay = true };
        DataTimeout.Apply(client.Client);
        if (hello.Kind is ConnectionKind.Heartbeat or ConnectionKind.MigrationControl)
        {
            HeartbeatPriority.Apply(client.Client);
        }
        try
        {
            if (!client.ConnectAsync(standby.Address, standby.Port).Wait(Within))
            {
                throw new PolluxException($"{standby.Host} does not answer on {standby.Address}:{standby.Port} within {Within.TotalSeconds:F0} s");
            }
            client.ReceiveTimeout = client.SendTimeout = (int)Within.TotalMilliseconds;
            var stream = new SslStream(client.GetStream());
            stream.AuthenticateAsClient(tls.ForClient(standby.Host));
            var frames = new FrameStream(stream, client.Client);
            frames.Write(FrameType.Hello, 0, hello.ToJson());
            var header = frames.ReadHeader();
            var payload = frames.ReadPayload(header);
            switch (header.Type)
            {
                case FrameType.Welcome:
                    client.ReceiveTimeout = client.SendTimeout = 0;
                    return (frames, Welcome.Parse(payload));
                case FrameType.Refuse:
                    throw new PolluxException($"{standby.Host} refuses: {System.Text.Encoding.UTF8.GetString(payload)}");
                default:
                    throw new WireFormatException($"{standby.Host} answered Hello with a {header.Type} frame");
            }
        }
        catch (AggregateException e) when (e.InnerException is SocketException inner)
        {
            client.Dispose();
            throw new PolluxException($"{standby.Host} cannot be reached on {standby.Address}:{standby.Port}: {inner.Message}", null, inner);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }
}
