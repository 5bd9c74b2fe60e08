using System.Net;
using System.Net.NetworkInformation;
using Pollux.Cluster.Api;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;
using Pollux.Replication.Pair;

namespace Pollux.Lab.Torture;

/// <summary>A lab of two hosts whose guest serves Redis and says who it is (beacon), protected: the ground of every round.</summary>
public sealed class TortureLab
{
    private const int RedisPort = 6379;
    private const int BeaconPort = 7000;
    private const int BeaconMs = 10;
    private const string GuestAddress = "10.78.0.10";
    private const string BroadcastAddress = "10.78.0.255";
    private static readonly TimeSpan Boot = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan Protect = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Tidy = TimeSpan.FromSeconds(15);

    private TortureLab(LabCluster cluster, LabVm vm, PhysicalAddress mac) => (Cluster, Vm, VmMac) = (cluster, vm, mac);

    public LabCluster Cluster { get; }

    public LabVm Vm { get; }

    public PhysicalAddress VmMac { get; }

    public static IPEndPoint Redis { get; } = new(IPAddress.Parse(GuestAddress), RedisPort);

    public static IPEndPoint Beacon { get; } = new(IPAddress.Parse(GuestAddress), BeaconPort);

    /// <summary>Starts the Redis guest on h1 of a lab that is up and has no VM of that name, and protects it.</summary>
    /// <param name="given">It gets a beacon, unless it has one.</param>
    public static async Task<TortureLab> PrepareAsync(LabCluster cluster, VmSpec given, IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        var spec = given.CommandLine.Contains("pollux.beacon=", StringComparison.Ordinal)
            ? given
            : given with { CommandLine = $"{given.CommandLine} pollux.beacon={BroadcastAddress}:{BeaconPort}:{BeaconMs}" };
        progress?.Report("starting the guest");
        var vm = await LabVm.StartAsync(cluster, spec, "h1", cancellation).ConfigureAwait(false);
        var lab = new TortureLab(cluster, vm, PhysicalAddress.Parse(spec.Nics[0].Mac));
        await (await lab.LoadAsync(0, cancellation).ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
        progress?.Report("protecting it");
        await vm.ProtectAsync(cancellation).ConfigureAwait(false);
        return lab;
    }

    public Task<RedisLoad> LoadAsync(ulong seed, CancellationToken cancellation = default) =>
        RedisGuest.LoadAsync(Cluster, seed, Boot, cancellation);

    /// <summary>Every host on, the VM protected, one keeper and one QEMU on each host and no other: as a round begins, and as it ends.</summary>
    /// <param name="recording">Also records the ports of hosts that are powered on here.</param>
    /// <exception cref="PolluxException">It does not become so.</exception>
    public async Task<VmDocument> WholeAsync(SwitchRecording? recording = null, CancellationToken cancellation = default)
    {
        foreach (var host in Cluster.Members.Where(h => h.Power == HostPower.Off))
        {
            await Cluster.PowerOnAsync(host.Name.Value, cancellation).ConfigureAwait(false);
            if (recording is not null)
            {
                await recording.AddAsync(host.Name, cancellation).ConfigureAwait(false);
            }
        }
        await Polling.UntilAsync(
            async c => (await Cluster.StatusAsync(c).ConfigureAwait(false)).All(h => h.Agent != false), Protect, () => "not every agent answers", cancellation).ConfigureAwait(false);
        var whole = await Vm.UntilAsync(s => s is { State: "protected", Role: { State: RoleState.Protected, Standby: not null } }, "protected", Protect, cancellation).ConfigureAwait(false);
        foreach (var host in Cluster.Hosts)
        {
            await Polling.UntilAsync(
                () => host.FindKeepers().Count == 1 && host.FindQemus().Count == 1, Tidy,
                () => $"{host.Name} runs {host.FindKeepers().Count} keepers and {host.FindQemus().Count} QEMUs", cancellation).ConfigureAwait(false);
        }
        return whole;
    }
}
