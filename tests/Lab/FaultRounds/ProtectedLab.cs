using System.Net;
using System.Net.NetworkInformation;
using Pollux.Cluster.Api;
using Pollux.Cluster.Events;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Layout;
using Pollux.Lab.Load;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>Hosts with agents, and a Linux guest with Redis that is to be protected. It outlives every fault.</summary>
public class ProtectedLab : IAsyncLifetime
{
    private static readonly TimeSpan Boot = TimeSpan.FromMinutes(3);

    /// <summary>All of the guest's RAM is compared so often, in every round.</summary>
    private const int ScrubSeconds = 10;
    private static readonly TimeSpan Telling = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Protect = TimeSpan.FromSeconds(60);
    private readonly LabName _name;
    private readonly LabOptions _options;

    /// <summary>Two hosts and a witness.</summary>
    public ProtectedLab()
        : this(TestLabs.WithVms, new LabOptions())
    {
    }

    protected ProtectedLab(LabName name, LabOptions options) => (_name, _options) = (name, options);

    public static IPEndPoint Server => RedisGuest.Server;

    public LabCluster Cluster { get; private set; } = null!;

    public LabVm Vm { get; private set; } = null!;

    public PhysicalAddress VmMac { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        await LabCluster.DownAsync(_name);
        Cluster = await LabCluster.UpAsync(_name, _options);
        try
        {
            var given = await RedisGuest.SpecAsync(Cluster);
            var spec = given with { FaultTolerance = given.FaultTolerance with { ScrubSeconds = ScrubSeconds } };
            VmMac = PhysicalAddress.Parse(spec.Nics[0].Mac);
            Vm = await LabVm.StartAsync(Cluster, spec, "h1");
            await (await LoadAsync(0)).DisposeAsync();
            await Vm.ProtectAsync();
        }
        catch
        {
            await Cluster.DownAsync();
            throw;
        }
    }

    public async Task DisposeAsync()
    {
        await Cluster.DownAsync();
        GC.SuppressFinalize(this);
    }

    public Task<RedisLoad> LoadAsync(ulong seed) => RedisGuest.LoadAsync(Cluster, seed, Boot);

    /// <summary>Every fault mended, every host on, and the VM protected: as a round begins, and as it ends.</summary>
    public async Task<VmDocument> WholeAsync(SwitchRecording? recording = null)
    {
        await Cluster.Wires.HealAsync();
        foreach (var host in Cluster.Members.Where(h => h.IsEtcdHeld))
        {
            using var up = Cluster.Prepare(new LabFault.EtcdUp(host.Name.Value));
            up.Strike();
        }
        foreach (var host in Cluster.Members.Where(h => h.Power == HostPower.Off))
        {
            await Cluster.PowerOnAsync(host.Name.Value);
            if (recording is not null)
            {
                await recording.AddAsync(host.Name);
            }
        }
        await Polling.UntilAsync(async c => (await Cluster.StatusAsync(c)).All(h => h.Agent != false), Protect, () => "not every agent answers");
        return await Vm.UntilAsync(s => s is { State: "protected", Role: { Standby: not null } }, "protected", Protect);
    }

    /// <summary>Waits until the host that was powered off is dead; says from when it was silent.</summary>
    public async Task<SilencingFault> DeadAsync(StruckFault powerOff)
    {
        await Cluster[powerOff.Host].DeadAsync();
        return new SilencingFault(powerOff.Host, powerOff.UnixMs + powerOff.TookMs);
    }

    /// <summary>Waits for an event that the hosts tell, asked through one of them; the newest that is meant.</summary>
    public async Task<ClusterEvent> TellsAsync(string host, DateTimeOffset since, Func<ClusterEvent, bool> isMeant)
    {
        const int most = 1000;
        ClusterEvent? found = null;
        await Polling.UntilAsync(async c =>
        {
            using var agent = AgentClient.Local(Cluster[host].AgentSocket);
            var told = await agent.EventsAsync(since.ToUnixTimeMilliseconds(), null, most, ofHostOnly: false, Telling, c);
            found = told.Events.LastOrDefault(isMeant);
            return found is not null;
        }, Telling, () => $"{host} does not tell what is waited for");
        return found!;
    }

    /// <summary>The host on a side of the pair.</summary>
    public static HostId HostOf(VmDocument sight, Side side) => side == Side.Primary ? sight.Role!.Primary.Host : sight.Role!.Standby!.Host;
}

/// <summary>A side of the pair.</summary>
public enum Side
{
    Primary,
    Standby,
}

[CollectionDefinition(Name)]
public sealed class ProtectedLabTests : ICollectionFixture<ProtectedLab>
{
    public const string Name = "protected lab";
}
