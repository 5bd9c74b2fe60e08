using System.Net;
using System.Net.Sockets;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Network;
using Pollux.Linux.Namespaces;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Tests.Labs;

[Collection(BareLabTests.Name)]
public sealed class FaultTests(BareLab lab) : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-lab-test").FullName;

    private LabCluster Cluster => lab.Cluster;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task PowerOff_OfAHostWithConnections_LetsNoFinAndNoResetOut()
    {
        var file = Path.Combine(_directory, "power-off.pcap");
        await using var capture = await Cluster.StartCaptureAsync("mgmt", file);
        var victim = Cluster["h1"].Member.Address;
        await TrafficOfAsync(capture, victim);

        StruckFault struck;
        using (var fault = Cluster.Prepare(new LabFault.PowerOff("h1")))
        {
            struck = fault.Strike();
        }
        await Cluster["h1"].DeadAsync();
        await capture.StopAsync();
        await Cluster.PowerOnAsync("h1");

        var from = PcapFile.ReadTcp(file).Where(s => s.From.Equals(victim)).ToList();
        Assert.NotEmpty(from);
        Assert.DoesNotContain(from, s => (s.Flags & (TcpFlags.Fin | TcpFlags.Rst)) != 0 && s.UnixMs >= struck.UnixMs);
        Assert.DoesNotContain(from, s => s.UnixMs > struck.UnixMs + struck.TookMs);
    }

    /// <summary>What the test above would see if the cables were not cut first: the capture can tell.</summary>
    [Fact]
    public async Task KilledProcess_WithItsCablesIn_SaysGoodbye()
    {
        var file = Path.Combine(_directory, "killed.pcap");
        await using var capture = await Cluster.StartCaptureAsync("mgmt", file);
        var victim = Cluster["h2"].Member.Address;
        await TrafficOfAsync(capture, victim);

        var etcd = Cluster["h2"].Cgroup.Processes().Single(p => ProcessTable.NameOf(p) == "etcd");
        ProcessTable.TrySignal(etcd, ProcessTable.Kill);

        await Polling.UntilAsync(() => PcapFile.ReadTcp(file).Any(s => s.From.Equals(victim) && (s.Flags & (TcpFlags.Fin | TcpFlags.Rst)) != 0),
            Deadline, () => "no FIN and no RST of the killed etcd was captured");
        await Polling.UntilAsync(async c => (await Cluster.StatusAsync(c)).All(h => h.Etcd == true), Deadline, () => "etcd on h2 does not come back");
    }

    [Fact]
    public async Task Freeze_OfAHost_SilencesItsProgramsButNotItsKernel()
    {
        using (var freeze = Cluster.Prepare(new LabFault.Freeze("h1")))
        {
            freeze.Strike();
        }
        try
        {
            await Polling.UntilAsync(() => Cluster["h1"].Power == HostPower.Frozen, Deadline, () => "h1 does not freeze");
            using var socket = NetworkNamespace.OpenSocket(
                Cluster.Name.NamespaceOf(Cluster["h2"].Member), AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            // The kernel of the frozen host accepts; nobody reads.
            await socket.ConnectAsync(new IPEndPoint(Cluster["h1"].Member.Address, 2379)).WaitAsync(Deadline);
            Assert.False((await Cluster.StatusAsync()).Single(h => h.Host.Value == "h1").Etcd);
        }
        finally
        {
            using var thaw = Cluster.Prepare(new LabFault.Thaw("h1"));
            thaw.Strike();
        }
        await Polling.UntilAsync(async c => (await Cluster.StatusAsync(c)).All(h => h.Etcd == true), Deadline, () => "etcd on h1 does not thaw");
    }

    [Fact]
    public async Task PowerOn_WhileThePoweredOffHostStillDies_StartsItAnew()
    {
        var before = Cluster["h1"].InitProcess();
        using (var fault = Cluster.Prepare(new LabFault.PowerOff("h1")))
        {
            fault.Strike();
        }

        await Cluster.PowerOnAsync("h1");

        Assert.Equal(HostPower.On, Cluster["h1"].Power);
        Assert.NotEqual(before, Cluster["h1"].InitProcess());
    }

    [Fact]
    public async Task Host_IsAMachineOfItsOwn()
    {
        var result = (await Cluster.ExecAsync("h2", ["sh", "-c", "hostname; cat /proc/1/comm; touch /dev/shm/own /run/own; ls /sys/class/net; head -1 /etc/pollux/agent.yaml"])).Checked("looking around");

        var said = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["h2", "tini", "br0", "lan", "lo", "mgmt"], said[..6]);
        Assert.False(File.Exists("/dev/shm/own"));
        Assert.False(File.Exists("/run/own"));
        var elsewhere = await Cluster.ExecAsync("h1", ["ls", "/dev/shm/own"]);
        Assert.NotEqual(0, elsewhere.ExitCode);
    }

    /// <summary>etcd's heartbeats of the host are in the capture, so that their absence later says something.</summary>
    private static Task TrafficOfAsync(Capture capture, IPAddress host) => Polling.UntilAsync(
        () => PcapFile.ReadTcp(capture.File).Any(s => s.From.Equals(host)), Deadline, () => $"nothing of {host} was captured");
}
