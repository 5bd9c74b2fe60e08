using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Torture;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>Two hosts and a witness, without VMs at the beginning of each test.</summary>
public sealed class BreadthLab : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public LabCluster Cluster { get; private set; } = null!;

    /// <summary>The example's guest, which also obeys orders.</summary>
    public VmSpec Redis { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        await LabCluster.DownAsync(TestLabs.Tortured);
        Cluster = await LabCluster.UpAsync(TestLabs.Tortured, new LabOptions());
        Redis = await RedisGuest.SpecAsync(Cluster);
    }

    public async Task DisposeAsync() => await Cluster.DownAsync();

    /// <summary>Starts and protects a guest, lets the test have it, and forgets it.</summary>
    public async Task WithAsync(VmSpec spec, Func<TortureLab, Task> test)
    {
        foreach (var host in Cluster.Members.Where(h => h.Power == HostPower.Off))
        {
            await Cluster.PowerOnAsync(host.Name.Value);
        }
        var lab = await TortureLab.PrepareAsync(Cluster, spec);
        try
        {
            await test(lab);
        }
        catch
        {
            var logs = Directory.CreateTempSubdirectory("pollux-breadth-").FullName;
            Cluster.SaveLogs(logs);
            throw;
        }
        finally
        {
            await lab.Vm.DeleteAsync();
            await Polling.UntilAsync(() => Cluster.Hosts.All(h => h.Power == HostPower.Off || h.FindQemus().Count == 0), Patience, () => "a QEMU is left");
        }
    }
}

[CollectionDefinition(Name)]
public sealed class BreadthTests : ICollectionFixture<BreadthLab>
{
    public const string Name = "breadth";
}
