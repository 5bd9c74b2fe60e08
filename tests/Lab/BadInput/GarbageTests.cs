using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Pollux.Cluster.Api;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Tests.FaultRounds;
using Pollux.Linux.Namespaces;
using Pollux.Wire.Replication;

namespace Pollux.Lab.Tests.BadInput;

/// <summary>
/// Garbage on every socket: whoever sends it gets an error or nothing at all, and neither the process nor the protection of the VM feels it.
/// </summary>
[Collection(ProtectedLabTests.Name)]
public sealed class GarbageTests(ProtectedLab lab)
{
    /// <summary>On a starved machine a pair may find its peer silent, whatever was sent; harm done by what was sent is done every time.</summary>
    private const int Attempts = 3;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly byte[] Request = "GET /v1/vms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"u8.ToArray();
    private static readonly byte[] Noise = [.. new Random(1).GetItems(Enumerable.Range(0, 256).Select(b => (byte)b).ToArray(), 50_000), (byte)'\n'];
    private VmDocument _before = null!;

    /// <summary>Sends, and sees the same processes afterwards, the same pair, the same term of the role.</summary>
    private async Task UnharmedByAsync(Func<Task> send)
    {
        for (var attempt = 1; ; attempt++)
        {
            _before = await lab.WholeAsync();
            var processes = Processes();
            var failure = await Record.ExceptionAsync(send);
            var after = await lab.WholeAsync();
            if (attempt == Attempts || (after.Role == _before.Role && processes.SequenceEqual(Processes())))
            {
                if (failure is not null)
                {
                    ExceptionDispatchInfo.Throw(failure);
                }
                Assert.Equal(_before.Role, after.Role);
                Assert.Equal(processes, Processes());
                return;
            }
        }
    }

    [Theory]
    [InlineData("PUT", "/v1/vms", "", 405)]
    [InlineData("GET", "/v1/nothing", "", 404)]
    [InlineData("GET", "/v1/vms/nobody", "", 404)]
    [InlineData("GET", "/v1/vms/..%2f..%2fetc", "", 409)]
    [InlineData("POST", "/v1/vms", "{", 400)]
    [InlineData("POST", "/v1/vms", "[]", 400)]
    [InlineData("POST", "/v1/vms", "null", 400)]
    [InlineData("POST", "/v1/vms", "{}", 409)]
    [InlineData("POST", "/v1/vms", """{"specYaml":null}""", 409)]
    [InlineData("POST", "/v1/vms", """{"specYaml":"x"}""", 409)]
    [InlineData("POST", "/v1/vms/redis/set", """{"intervalMs":"x"}""", 400)]
    [InlineData("POST", "/v1/vms/redis/set", """{"trigger":"never"}""", 409)]
    [InlineData("POST", "/v1/vms/redis/keeper", """{"do":"explode"}""", 409)]
    public Task AgentSocket_ToAWrongRequest_SaysWhatIsWrong(string method, string path, string body, int status) => UnharmedByAsync(async () =>
    {
        var said = await TellAsync(lab.Cluster["h1"].AgentSocket, Encoding.UTF8.GetBytes(
            $"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"));

        Assert.StartsWith($"HTTP/1.1 {status} ", said, StringComparison.Ordinal);
        Assert.Contains("{\"error\":{\"problem\":\"", said, StringComparison.Ordinal);
    });

    [Fact]
    public Task AgentSocket_ToNoise_IsABadRequest() => UnharmedByAsync(async () =>
        Assert.StartsWith("HTTP/1.1 400 ", await TellAsync(lab.Cluster["h1"].AgentSocket, Noise), StringComparison.Ordinal));

    [Theory]
    [InlineData("\n", "this is no request: ")]
    [InlineData("garbage\n", "this is no request: ")]
    [InlineData("[]\n", "this is no request: ")]
    [InlineData("{}\n", "a request needs a member \\u0027do\\u0027")]
    [InlineData("{\"do\":\"explode\"}\n", "is no request; status, protectable, protect, unprotect, takeover, migrate, migrate-cancel, send-away, set or stop")]
    [InlineData("{\"do\":\"protect\"}\n", "protect needs a member")]
    [InlineData("{\"do\":\"set\",\"settings\":{\"intervalMs\":-5}}\n", "interval is -5 ms; choose 1 to 10000 ms")]
    public Task KeeperSocket_ToAWrongRequest_SaysWhatIsWrong(string line, string said) => UnharmedByAsync(async () =>
        Assert.Contains(said, await TellAsync(KeeperSocket, Encoding.UTF8.GetBytes(line)), StringComparison.Ordinal));

    [Fact]
    public Task KeeperSocket_ToNoiseWithoutEnd_HangsUp() => UnharmedByAsync(async () =>
    {
        await TellAsync(KeeperSocket, Noise);
        await TellAsync(KeeperSocket, [.. Enumerable.Repeat((byte)'x', 1 << 20)]);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task TlsPort_ToWhoeverIsNotOfTheCluster_SaysNothing(bool isAgents) => UnharmedByAsync(async () =>
    {
        var at = isAgents ? AgentPort : StandbyPort();
        using var strangers = Stranger();

        Assert.Empty(await TellAsync(at, Noise));
        Assert.Empty(await TellAsync(at, Request));
        Assert.Empty(await TellByTlsAsync(at, null, Request));
        Assert.Empty(await TellByTlsAsync(at, strangers, Request));
        Assert.Empty(await TellByTlsAsync(at, Own(), Request, SslProtocols.Tls12));
    });

    [Fact]
    public Task StandbyPort_ToAHostOfTheClusterThatSpeaksNonsense_RefusesOrHangsUp() => UnharmedByAsync(async () =>
    {
        var at = StandbyPort();
        var hello = new Hello(ConnectionKind.Data, lab.Vm.Name.Value, Standby.Value, "1", "2", "digest", "7.2.22 (tcg)", 1, 20, 150);

        Assert.Empty(await TellByTlsAsync(at, Own(), Noise));
        Assert.Empty(await TellByTlsAsync(at, Own(), Frame(FrameType.Hello, "{"u8)));
        Assert.Empty(await TellByTlsAsync(at, Own(), Frame(FrameType.Ram, "page"u8)));
        Assert.Empty(await TellByTlsAsync(at, Own(), Frame(FrameType.EpochEnd, [])));
        Assert.Contains("this keeper is ", await TellByTlsAsync(at, Own(), Frame(FrameType.Hello, hello.ToJson())), StringComparison.Ordinal);
        Assert.Contains("is said to call", await TellByTlsAsync(at, Own(), Frame(FrameType.Hello, (hello with { Host = "h9" }).ToJson())), StringComparison.Ordinal);
    });

    private HostId Standby => _before.Role!.Standby!.Host;

    private LabHost StandbyHost => lab.Cluster[Standby.Value];

    private string KeeperSocket =>
        Path.Combine(Path.GetDirectoryName(lab.Cluster[_before.Host.Value].AgentSocket)!, "vms", lab.Vm.Name.Value, "keeper.sock");

    private IPEndPoint AgentPort => new(StandbyHost.Member.Address, 7080);

    private int[] Processes() =>
        [.. lab.Cluster.Hosts.SelectMany(h => h.FindKeepers().Concat(h.FindQemus()).Append(h.FindAgent() ?? 0)).Order()];

    /// <summary>Where the standby's keeper listens: the kernel's list of its network's sockets, state 0A.</summary>
    private IPEndPoint StandbyPort()
    {
        const int listening = 0x0A;
        int[] others = [AgentPort.Port, HostFiles.MetricsPort, 2379, 2380];
        var ports = File.ReadLines($"/proc/{StandbyHost.FindKeepers().Single()}/net/tcp").Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(fields => Convert.ToInt32(fields[3], 16) == listening)
            .Select(fields => int.Parse(fields[1].Split(':')[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        return new IPEndPoint(StandbyHost.Member.Address, ports.Except(others).Single());
    }

    private static byte[] Frame(FrameType type, ReadOnlySpan<byte> payload)
    {
        var frame = new byte[FrameHeader.Bytes + payload.Length];
        new FrameHeader(type, payload.Length, Crc32C.Of(payload), 0).Write(frame);
        payload.CopyTo(frame.AsSpan(FrameHeader.Bytes));
        return frame;
    }

    /// <summary>The certificate of the standby's own host: of this cluster, but not of the pair's other side.</summary>
    private X509Certificate2 Own() => Certificate(Path.Combine(lab.Cluster.Name.DirectoryOf(StandbyHost.Member), "etc/tls"));

    /// <summary>A certificate that names the primary's host, of another cluster's authority.</summary>
    private X509Certificate2 Stranger()
    {
        var directory = Directory.CreateTempSubdirectory("pollux-stranger");
        try
        {
            using var authority = ClusterAuthority.CreateOrOpen(directory.FullName);
            authority.Issue(_before.Host.Value, [IPAddress.Loopback], directory.FullName);
            return Certificate(directory.FullName);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static X509Certificate2 Certificate(string directory) =>
        X509Certificate2.CreateFromPemFile(Path.Combine(directory, "host.crt"), Path.Combine(directory, "host.key"));

    private static async Task<string> TellAsync(string path, byte[] what)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path)).WaitAsync(Patience);
        return await ExchangeAsync(new NetworkStream(socket), what, untilLine: path.EndsWith("keeper.sock", StringComparison.Ordinal));
    }

    private async Task<string> TellAsync(IPEndPoint at, byte[] what)
    {
        using var socket = await ConnectAsync(at);
        return await ExchangeAsync(new NetworkStream(socket), what);
    }

    private async Task<string> TellByTlsAsync(IPEndPoint at, X509Certificate2? certificate, byte[] what, SslProtocols protocols = SslProtocols.None)
    {
        using var socket = await ConnectAsync(at);
        await using var stream = new SslStream(new NetworkStream(socket));
        try
        {
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "x", EnabledSslProtocols = protocols, ClientCertificates = certificate is null ? null : [certificate],
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            }).WaitAsync(Patience);
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            return "";
        }
        return await ExchangeAsync(stream, what);
    }

    /// <summary>From the primary's host, as a real peer would come.</summary>
    private async Task<Socket> ConnectAsync(IPEndPoint at)
    {
        var network = lab.Cluster.Name.NamespaceOf(lab.Cluster[_before.Host.Value].Member);
        var socket = NetworkNamespace.OpenSocket(network, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(at).WaitAsync(Patience);
        return socket;
    }

    /// <summary>All that comes back until the other end hangs up, or answers a line; nothing when it hangs up rudely.</summary>
    private static async Task<string> ExchangeAsync(Stream stream, byte[] what, bool untilLine = false)
    {
        using var deadline = new CancellationTokenSource(Patience);
        var said = new StringBuilder();
        try
        {
            await stream.WriteAsync(what, deadline.Token);
            var buffer = new byte[4096];
            while (await stream.ReadAsync(buffer, deadline.Token) is var read and > 0)
            {
                said.Append(Encoding.UTF8.GetString(buffer, 0, read));
                if (untilLine && said[^1] == '\n')
                {
                    break;
                }
            }
        }
        catch (IOException)
        {
            // Hung up before it had read everything.
        }
        return said.ToString();
    }
}
