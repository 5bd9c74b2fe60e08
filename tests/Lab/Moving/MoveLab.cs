using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Layout;
using Pollux.Lab.Load;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Torture;
using Pollux.Lab.Vms;
using Pollux.Replication.Pair;

namespace Pollux.Lab.Tests.Moving;

/// <summary>Two hosts and a witness, and a guest that nobody protects yet, which says who it is (beacon).</summary>
public sealed class MoveLab : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Boot = TimeSpan.FromMinutes(2);
    private static readonly IPEndPoint Checksum = IPEndPoint.Parse("10.78.0.10:7002");
    private RedisLoad? _load;
    private PhysicalAddress _mac = PhysicalAddress.None;

    public LabCluster Cluster { get; private set; } = null!;
    public LabVm Vm { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        await LabCluster.DownAsync(TestLabs.Moving);
        Cluster = await LabCluster.UpAsync(TestLabs.Moving, new LabOptions());
        var redis = await RedisGuest.SpecAsync(Cluster);
        var spec = redis with { CommandLine = $"{redis.CommandLine} pollux.beacon=10.78.0.255:7000:10 pollux.dirty=32:2000 pollux.checksum=16:1000:7002" };
        _mac = PhysicalAddress.Parse(spec.Nics[0].Mac);
        Vm = await LabVm.StartAsync(Cluster, spec, "h1");
        await (await RedisGuest.LoadAsync(Cluster, 0, Boot)).DisposeAsync();
    }

    public async Task DisposeAsync() => await Cluster.DownAsync();

    /// <summary>The host that runs the guest, and the other one. Every host is on and alive, and nothing of a migration is left.</summary>
    public async Task<(string Source, string Destination)> WholeAsync()
    {
        await Polling.UntilAsync(async c =>
        {
            // One that was struck a moment ago may not be dead yet.
            foreach (var host in Cluster.Members.Where(h => h.Power == HostPower.Off))
            {
                await Cluster.PowerOnAsync(host.Name.Value, c, untilAlive: true);
            }
            return (await Cluster.StatusAsync(c)).All(h => h.Agent != false);
        }, Patience, () => "not every agent answers");
        var vm = await Vm.UntilAsync(v => v is { State: "running", Role: { State: RoleState.Running } }, "running", Patience);
        var source = vm.Host.Value;
        var destination = Cluster.Hosts.Single(h => h.Name.Value != source);
        await Polling.UntilAsync(
            () => Cluster[source].FindKeepers().Count == 1 && Cluster[source].FindQemus().Count == 1 && destination.FindKeepers().Count == 0 && destination.FindQemus().Count == 0,
            Patience, () => $"{destination.Name} is not clean: {destination.FindKeepers().Count} keepers, {destination.FindQemus().Count} QEMUs");
        return (source, destination.Name.Value);
    }

    /// <summary>Begins to move it; returns when that is under way.</summary>
    public async Task BeginAsync(string to, MigrationSettings? settings = null)
    {
        using var agent = AgentClient.Local(Cluster[to].AgentSocket);
        await agent.MigrateAsync(Vm.Name, new MigrateRequest(HostId.Create(to), settings ?? new MigrationSettings()), Patience, CancellationToken.None);
    }

    public async Task<MigrationStatus> MoveAsync(string to, MigrationSettings? settings = null)
    {
        await BeginAsync(to, settings);
        return await EndAsync(to);
    }

    /// <summary>Waits until it runs there.</summary>
    public async Task<MigrationStatus> EndAsync(string to)
    {
        var moved = await Vm.UntilAsync(
            v => v.Host.Value == to ? v is { State: "running" } && v.KeeperOn(v.Host)?.Migration is { State: MigrationState.Done } : FailureOf(v) is not null, $"on {to}", Patience);
        return FailureOf(moved) is { } why ? throw new PolluxException($"it did not move: {why}") : moved.KeeperOn(moved.Host)!.Migration!;
    }

    /// <summary>
    /// Lets a client write meanwhile, and judges afterwards: nothing acknowledged is lost, its one connection lives, and the guest never said
    /// the same number with two words, as two copies of it would.
    /// </summary>
    /// <param name="connectionLives">False where a host dies, and its guest with it.</param>
    public async Task JudgedAsync(Func<RedisLoad, Task> what, bool connectionLives = true)
    {
        var first = (ulong)(await BeaconMemory.ReadAsync(Cluster.OpenClientSocket, TortureLab.Beacon, 0, Patience)).Count;
        await using var recording = await SwitchRecording.StartAsync(Cluster);
        await using var load = await RedisGuest.LoadAsync(Cluster, first, Boot, pace: TimeSpan.FromMilliseconds(2));
        try
        {
            _load = load;
            await what(load);
            Assert.True(await load.IsAnsweredAfterAsync(Stopwatch.GetTimestamp(), Patience), "the guest does not answer any more");
            var report = await load.FinishAsync(Patience);
            Assert.True(report.IsClean || (!connectionLives && report is { Lost: 0, WrongAnswers: 0 }), report.ToString());
            var frames = await recording.StopAsync();
            var verdict = BeaconJudge.Judge(_mac, frames, first, await BeaconMemory.ReadAsync(Cluster.OpenClientSocket, TortureLab.Beacon, first, Patience));
            Assert.True(verdict.IsClean, string.Join("; ", verdict.Complaints));
            Assert.NotEqual(0, verdict.Heard);
        }
        catch
        {
            Cluster.SaveLogs(Directory.CreateTempSubdirectory("pollux-move-").FullName);
            throw;
        }
    }

    /// <summary>What the guest's own program says of its memory.</summary>
    public Task<GuestChecksum> ChecksumAsync() => GuestChecksum.ReadAsync(Cluster.OpenClientSocket, Checksum, Patience);

    /// <summary>Waits until the guest answers a request of now.</summary>
    public async Task AnswersAsync()
    {
        var asked = Stopwatch.GetTimestamp();
        Assert.True(await _load!.IsAnsweredAfterAsync(asked, Patience), "the guest does not answer");
    }

    private static string? FailureOf(VmDocument vm) => vm.KeeperOn(vm.Host)?.Migration is { State: MigrationState.Failed } failed ? failed.Why : null;
}

[CollectionDefinition(Name)]
public sealed class MoveTestsCollection : ICollectionFixture<MoveLab>
{
    public const string Name = "moving";
}
