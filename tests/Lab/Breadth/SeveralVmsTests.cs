using System.Net;
using Pollux.Cluster.Api;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Load;
using Pollux.Lab.Torture;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;
using Pollux.Core;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>A host that runs several protected VMs dies with all of them, and all of them run on.</summary>
[Collection(BreadthTests.Name)]
public sealed class SeveralVmsTests(BreadthLab breadth, ITestOutputHelper output)
{
    private const long MemoryBytes = 128 << 20;
    private static readonly TimeSpan Boot = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Protect = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan Asking = TimeSpan.FromSeconds(10);

    /// <summary>Three guests boot and are copied on one machine: nobody is taken for dead meanwhile.</summary>
    private VmSpec Spec => breadth.Redis with { MemoryBytes = MemoryBytes, FaultTolerance = breadth.Redis.FaultTolerance with { DetectionMs = 2000 } };

    [Fact]
    public Task Vms_OfAHostThatLosesPower_AllRunOn() => breadth.WithAsync(Spec, async lab =>
    {
        try
        {
            var second = await StartAsync(lab.Cluster, "second", 11);
            var third = await StartAsync(lab.Cluster, "third", 12);
            LabVm[] vms = [lab.Vm, second.Vm, third.Vm];
            await ProtectedAsync(lab.Cluster);
            var loads = new[] { TortureLab.Redis, second.Server, third.Server }.Select((s, i) => RegisterLoad.Start(lab.Cluster.OpenClientSocket, s, (ulong)(20 + i))).ToList();
            await Polling.UntilAsync(() => loads.All(l => l.Done > 60), Patience, () => "no load");
            await ProtectedAsync(lab.Cluster);

            using (var fault = lab.Cluster.Prepare(new LabFault.PowerOff("h1")))
            {
                fault.Strike();
            }
            foreach (var vm in vms)
            {
                await vm.UntilAsync(v => v.Host.Value == "h2" && v.State is "running" or "syncing", "running on h2", Patience);
            }
            await lab.Cluster.PowerOnAsync("h1");
            await ProtectedAsync(lab.Cluster);

            foreach (var (vm, load) in vms.Zip(loads))
            {
                var report = await load.FinishAsync(Patience);
                output.WriteLine($"{vm.Name}: {report.Operations} operations {report.Complaint}");
                Assert.True(report.IsClean, $"{vm.Name}: {report.Complaint} {string.Join(' ', report.Torn)}");
                Assert.True(report.Operations > 100, $"{vm.Name}: {report.Operations} operations");
                await load.DisposeAsync();
            }
        }
        finally
        {
            await DeleteAllButAsync(lab.Vm.Name, lab.Cluster);
        }
    });

    /// <summary>Until one look at all VMs finds all of them protected.</summary>
    private static Task ProtectedAsync(LabCluster cluster)
    {
        var seen = "";
        return Polling.UntilAsync(async c =>
        {
            try
            {
                var vms = await VmsAsync(cluster, c);
                seen = string.Join(", ", vms.Select(v => $"{v.Name} is {v.State} on {v.Host}"));
                return vms.Count == 3 && vms.All(v => v.State == "protected");
            }
            catch (PolluxException e)
            {
                seen = e.Message;
                return false;
            }
        }, Protect, () => $"not all are protected: {seen}");
    }

    private static async Task DeleteAllButAsync(VmName kept, LabCluster cluster)
    {
        foreach (var vm in (await VmsAsync(cluster, CancellationToken.None)).Where(v => v.Name != kept))
        {
            await new LabVm(cluster, vm.Name).DeleteAsync();
        }
    }

    /// <summary>As h2 shows them, which is on all the time.</summary>
    private static async Task<IReadOnlyList<VmDocument>> VmsAsync(LabCluster cluster, CancellationToken cancellation)
    {
        using var agent = AgentClient.Local(cluster["h2"].AgentSocket);
        return await agent.VmsAsync(Asking, cancellation);
    }

    private async Task<(LabVm Vm, IPEndPoint Server)> StartAsync(LabCluster cluster, string name, int address)
    {
        var spec = Spec with
        {
            Name = VmName.Create(name),
            CommandLine = $"console=ttyS0 pollux.ip=10.78.0.{address}/24",
            Nics = [new NicSpec("br0", $"52:54:00:78:00:{address:x2}", "virtio-net-pci")],
        };
        var vm = await LabVm.StartAsync(cluster, spec, "h1");
        var server = new IPEndPoint(IPAddress.Parse($"10.78.0.{address}"), TortureLab.Redis.Port);
        await (await RedisLoad.StartWhenServingAsync(cluster.OpenClientSocket, server, 0, Boot)).DisposeAsync();
        await vm.ProtectAsync();
        return (vm, server);
    }
}
