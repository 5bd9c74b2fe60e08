using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Lab.Layout;
using Pollux.Linux.Namespaces;

namespace Pollux.Lab.Health;

/// <summary>Asks a member's etcd for its health, from inside the member's network namespace and with the member's certificate.</summary>
internal static class EtcdProbe
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    /// <summary>True when the member has a leader and a quorum answers it (etcd's <c>/health</c> is a linearizable read).</summary>
    internal static async Task<bool> IsHealthyAsync(LabName lab, LabMember member, CancellationToken cancellation)
    {
        var certificates = Path.Combine(lab.DirectoryOf(member), "etc/tls");
        using var tls = PeerTls.Open(new TlsFiles(
            Path.Combine(certificates, "ca.crt"), Path.Combine(certificates, "host.crt"), Path.Combine(certificates, "host.key")));
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = tls.ForAddress(),
            ConnectCallback = async (context, cancel) =>
            {
                var socket = NetworkNamespace.OpenSocket(lab.NamespaceOf(member), AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                try
                {
                    await socket.ConnectAsync(context.DnsEndPoint, cancel).ConfigureAwait(false);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        using var client = new HttpClient(handler) { Timeout = Deadline };
        try
        {
            using var answer = await client.GetAsync(new Uri($"{member.EtcdClientUrl}/health"), cancellation).ConfigureAwait(false);
            using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false));
            return json.RootElement.TryGetProperty("health", out var health) && health.ToString() is "true" or "True";
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or IOException or AuthenticationException
            || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }
}
