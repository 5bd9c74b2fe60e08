using System.Net.Sockets;
using Pollux.Cluster.Events;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Tests.FaultRounds;
using Pollux.Linux.Namespaces;

namespace Pollux.Lab.Tests.Operation;

/// <summary>What a person, or Prometheus, is told of a pair that loses a host, and of one that loses its arbiter.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class OperationTests(ProtectedLab lab)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly DateTimeOffset _begin = DateTimeOffset.UtcNow;

    [Fact]
    public async Task HostLost_EventsMetricsAndDoctorSaySo()
    {
        var before = await lab.WholeAsync();
        var (lost, other) = (before.Role!.Primary.Host, before.Role.Standby!.Host.Value);
        const string heard = "/tmp/followed";
        var follow = lab.Cluster.ExecAsync(other, ["sh", "-c", $"timeout 60 pollux events --follow --since 24h redis > {heard}"]);
        async Task FollowedAsync(string words) =>
            await Polling.UntilAsync(async _ => (await lab.Cluster.ExecAsync(other, ["cat", heard])).Output.Contains(words, StringComparison.Ordinal), Patience, () => $"events --follow does not say: {words}");
        await FollowedAsync("\n"); // what there was; from now on it follows
        Strike(new LabFault.PowerOff(lost.Value));

        var takeover = await TellsAsync(other, e => e.Kind == EventKinds.Takeover);
        Assert.StartsWith($"took over from {lost}: ", takeover.Text);
        Assert.True(takeover.Figures!["resumeMs"] > 0, takeover.Text);
        await TellsAsync(other, e => e.Kind == EventKinds.HostGone && e.Text.Contains($" {lost} ", StringComparison.Ordinal));
        var said = (await lab.Cluster.ExecAsync(other, ["pollux", "events", "redis", "--since", "10m", "-o", "json"])).Checked("pollux events");
        Assert.Contains($"\"kind\":\"{EventKinds.Takeover}\"", said.Output);
        Assert.Contains($"the events of {lost} are missing", said.Errors);

        Assert.Contains("pollux_vm_protected{vm=\"redis\"} 0\n", await MetricsAsync(other));
        Assert.Contains($"pollux_host_alive{{name=\"{lost}\"}} 0\n", await MetricsAsync(other));
        Assert.Matches("pollux_vm_takeovers_total\\{vm=\"redis\"\\} [1-9]", await MetricsAsync(other));

        Assert.Matches("pollux_vm_last_takeover_info\\{vm=\"redis\",reason=\"[^\"]+\"\\} 1\n", await MetricsAsync(other));

        var shown = (await lab.Cluster.ExecAsync(other, ["pollux", "vm", "show", "redis"])).Checked("pollux vm show").Output;
        Assert.Matches($"runs on +{other} *\n", shown);
        Assert.Matches("last takeover +[0-9-]+ [0-9:]+ UTC: [a-z]", shown);
        Assert.Matches("detected [0-9.]+ ms, arbitrated [0-9.]+ ms, resumed [0-9.]+ ms", shown);

        var doctor = await lab.Cluster.ExecAsync(other, ["pollux", "doctor", "redis"]);
        Assert.Equal(1, doctor.ExitCode);
        Assert.Contains($"not protected: no other host than {other} is alive", doctor.Output);

        await lab.WholeAsync();
        await TellsAsync(other, e => e.Kind == EventKinds.Protected && e.Time > takeover.Time);
        Assert.Equal(0, (await lab.Cluster.ExecAsync(other, ["pollux", "doctor", "redis"])).ExitCode);
        Assert.Contains("pollux_vm_protected{vm=\"redis\"} 1\n", await MetricsAsync(other));
        Assert.Matches("checkpoints +[0-9.]+/s", (await lab.Cluster.ExecAsync(other, ["pollux", "vm", "show", "redis"])).Output);
        await FollowedAsync($"{takeover.Text}");
        (await lab.Cluster.ExecAsync(other, ["pkill", "-f", "events --follow"])).Checked("ending events --follow");
        await follow;
    }

    [Fact]
    public async Task ArbiterLost_EventsMetricsAndDoctorSaySo()
    {
        var before = await lab.WholeAsync();
        var (primary, standby) = (before.Role!.Primary.Host.Value, before.Role.Standby!.Host.Value);
        Strike(new LabFault.EtcdDown("w"));
        Strike(new LabFault.EtcdDown(standby));

        var lost = await TellsAsync(primary, e => e.Kind == EventKinds.EtcdLost && e.Host.Value == primary);
        Assert.Contains("pollux_etcd_majority 0\n", await MetricsAsync(primary));
        var doctor = await lab.Cluster.ExecAsync(primary, ["pollux", "doctor", "redis"]);
        Assert.Contains($"protected, but no majority of etcd answers {primary}", doctor.Output);
        Assert.Equal(1, doctor.ExitCode);

        await lab.WholeAsync();
        await TellsAsync(primary, e => e.Kind == EventKinds.EtcdBack && e.Host.Value == primary && e.Time > lost.Time);
        Assert.Contains("pollux_etcd_majority 1\n", await MetricsAsync(primary));
    }

    private Task<ClusterEvent> TellsAsync(string host, Func<ClusterEvent, bool> isMeant) => lab.TellsAsync(host, _begin, isMeant);

    /// <summary>As Prometheus asks for it: plain HTTP in the host's network.</summary>
    private async Task<string> MetricsAsync(string host)
    {
        var member = lab.Cluster[host].Member;
        using var handler = new SocketsHttpHandler
        {
            ConnectCallback = async (context, cancellation) =>
            {
                var socket = NetworkNamespace.OpenSocket(lab.Cluster.Name.NamespaceOf(member), AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(context.DnsEndPoint, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var http = new HttpClient(handler) { Timeout = Patience };
        return await http.GetStringAsync($"http://{member.Address}:9464/metrics");
    }

    private void Strike(LabFault fault)
    {
        using var prepared = lab.Cluster.Prepare(fault);
        prepared.Strike();
    }
}
