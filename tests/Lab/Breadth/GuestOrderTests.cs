using System.Net;
using System.Net.Sockets;
using System.Text;
using Pollux.Cluster.Keepers;
using Pollux.Lab.Hosts;
using Pollux.Lab.Load;
using Pollux.Lab.Torture;
using Pollux.Linux.Processes;
using Pollux.Replication.Pair;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>What a protected guest does to itself: the pair follows it.</summary>
[Collection(BreadthTests.Name)]
public sealed class GuestOrderTests(BreadthLab breadth)
{
    private const string Soon = "poweroff-soon";
    private const int OrdersPort = 7002;
    private const int Stop = 19;
    private const int Continue = 18;
    private static readonly TimeSpan HasPoweredOff = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly IPEndPoint Orders = new(TortureLab.Redis.Address, OrdersPort);

    /// <summary>Nobody is taken for dead on a machine that stutters.</summary>
    private Task WithAsync(Func<TortureLab, Task> test) => breadth.WithAsync(
        breadth.Redis with
        {
            CommandLine = $"{breadth.Redis.CommandLine} pollux.orders={OrdersPort}",
            FaultTolerance = breadth.Redis.FaultTolerance with { DetectionMs = 2000 },
        },
        test);

    [Fact]
    public Task Guest_ThatPowersItselfOff_IsStoppedOnBothSides() => WithAsync(async lab =>
    {
        await lab.WholeAsync();
        await OrderAsync(lab, "poweroff");

        var stopped = await lab.Vm.UntilAsync(v => v.State == "stopped", "stopped", Patience);
        Assert.Equal("the guest shut down", stopped.Note);
        await Polling.UntilAsync(() => lab.Cluster.Hosts.All(h => h.FindQemus().Count == 0 && h.FindKeepers().Count == 0), Patience, () => "a QEMU or keeper goes on");
        // It stays off, and the user starts it again.
        await lab.Vm.StartAsync();
        await lab.WholeAsync();
    });

    [Fact]
    public Task Guest_ThatPowersItselfOffWhileItHasNoKeeper_IsStopped() => WithAsync(async lab =>
    {
        await lab.Vm.UnprotectAsync();
        var host = lab.Cluster[(await lab.Vm.ShowAsync()).Role!.Primary!.Host.Value];
        await Polling.UntilAsync(() => host.FindKeepers().Count == 1 && lab.Cluster.Hosts.Sum(h => h.FindKeepers().Count) == 1, Patience, () => "the standby goes on");
        var keeper = Assert.Single(host.FindKeepers());
        await OrderAsync(lab, Soon);
        // It carries the guest's frames: it dies once the order is taken, and hears nothing of what the guest does then.
        Assert.True(ProcessTable.TrySignal(keeper, Stop));
        await Task.Delay(HasPoweredOff);
        Assert.True(ProcessTable.TrySignal(keeper, ProcessTable.Kill));

        var stopped = await lab.Vm.UntilAsync(v => v.State == "stopped", "stopped", Patience);
        Assert.Equal("the guest shut down", stopped.Note);
        Assert.Empty(host.FindQemus());
        await lab.Vm.StartAsync();
        await (await lab.LoadAsync(3)).DisposeAsync();
    });

    /// <summary>Asked before the keeper's death, and right after it: both times the guest powers down by itself, which the role tells.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Guest_ThatIsToPowerDownAndLosesItsKeeper_PowersDown(bool askedBefore) => WithAsync(async lab =>
    {
        await lab.Vm.UnprotectAsync();
        var host = lab.Cluster[(await lab.Vm.ShowAsync()).Role!.Primary!.Host.Value];
        await Polling.UntilAsync(() => host.FindKeepers().Count == 1 && lab.Cluster.Hosts.Sum(h => h.FindKeepers().Count) == 1, Patience, () => "the standby goes on");
        var keeper = Assert.Single(host.FindKeepers());
        if (askedBefore)
        {
            // The keeper has taken the order and not its answer from QEMU: both are stopped.
            var qemu = Assert.Single(host.FindQemus());
            Assert.True(ProcessTable.TrySignal(qemu, Stop));
            var asked = lab.Vm.StopAsync();
            var noted = Path.Combine(Path.GetDirectoryName(host.AgentSocket)!, "vms", lab.Vm.Name.Value, "qemu.json");
            await Polling.UntilAsync(() => File.ReadAllText(noted).Contains("\"powerDownAsked\":true", StringComparison.Ordinal), Patience, () => "the keeper was not asked");
            Assert.True(ProcessTable.TrySignal(keeper, ProcessTable.Kill));
            Assert.True(ProcessTable.TrySignal(qemu, Continue));
            await Assert.ThrowsAsync<Core.OutcomeUnknownException>(() => asked);
        }
        else
        {
            Assert.True(ProcessTable.TrySignal(keeper, ProcessTable.Kill));
            // Asked of nobody, of the next keeper, or of the dying one, which does not answer.
            Assert.True(await Record.ExceptionAsync(() => lab.Vm.StopAsync()) is null or Core.OutcomeUnknownException);
        }

        await lab.Vm.UntilAsync(v => v is { State: "stopped", Role.State: RoleState.Stopped }, "stopped by its own keeper", Patience);
        await NoQemuIsLeftAsync(lab);
        await lab.Vm.StartAsync();
        await (await lab.LoadAsync(3)).DisposeAsync();
    });

    /// <summary>It knows no power button, as a guest without ACPI. It was told so after half a minute, and nothing of it has changed.</summary>
    [Fact]
    [Trait("Suite", "long")]
    public Task Guest_ThatDoesNotPowerDown_RunsOnAsItWas_UntilItIsForced() => breadth.WithAsync(breadth.Redis with { CommandLine = $"{breadth.Redis.CommandLine} acpi=off" }, async lab =>
    {
        await lab.WholeAsync();
        await lab.Vm.SetAsync(new ProtectionSettings(IntervalMs: 60, DetectionMs: 2000));
        var before = await lab.Vm.ShowAsync();

        var refusal = await Assert.ThrowsAsync<Core.PolluxException>(() => lab.Vm.StopAsync());

        Assert.Contains("did not power down", refusal.Problem, StringComparison.Ordinal);
        var after = await lab.WholeAsync();
        Assert.Equal(before.Record, after.Record);
        Assert.Equal(60, after.Keepers.Single(k => k.Host == after.Host).Status?.Settings.IntervalMs);
        Assert.Equal(before.Role!.Primary, after.Role!.Primary);

        // By force it ends also in the moment in which it has no keeper.
        await lab.Vm.UnprotectAsync();
        await Polling.UntilAsync(() => lab.Cluster.Hosts.Sum(h => h.FindKeepers().Count) == 1, Patience, () => "the standby goes on");
        Assert.True(ProcessTable.TrySignal(Assert.Single(lab.Cluster[after.Host.Value].FindKeepers()), ProcessTable.Kill));
        await lab.Vm.StopAsync(force: true);
        await lab.Vm.UntilAsync(v => v.State == "stopped", "stopped", Patience);
        await NoQemuIsLeftAsync(lab);
    });

    /// <summary>Its standby takes over in the same moment; whoever has the guest then, it ends.</summary>
    [Fact]
    public Task Guest_WhosePrimarysKeeperDied_EndsByForceOnBothSides() => WithAsync(async lab =>
    {
        var host = lab.Cluster[(await lab.WholeAsync()).Role!.Primary.Host.Value];
        Assert.True(ProcessTable.TrySignal(Assert.Single(host.FindKeepers()), ProcessTable.Kill));

        await lab.Vm.StopAsync(force: true);

        await lab.Vm.UntilAsync(v => v.State == "stopped", "stopped", Patience);
        await NoQemuIsLeftAsync(lab);
        await lab.Vm.StartAsync();
        await (await lab.LoadAsync(4)).DisposeAsync();
    });

    [Fact]
    public Task Guest_ThatRebootsAndThenLosesItsHost_IsTakenOverAsItIsAfterTheReboot() => WithAsync(async lab =>
    {
        var before = await lab.WholeAsync();
        IReadOnlyList<ulong> said;
        await using (var load = await lab.LoadAsync(1))
        {
            await Polling.UntilAsync(() => load.Log.Count > 50, Patience, () => "no load");
            said = await BeaconMemory.ReadAsync(lab.Cluster.OpenClientSocket, TortureLab.Beacon, 0, Patience);
        }
        await OrderAsync(lab, "reboot");
        await Polling.UntilAsync(c => HasForgottenAsync(lab, said, c), Patience, () => "the guest does not reboot");
        // It says what it is from the beginning again, and nobody took it for dead.
        await (await lab.LoadAsync(2)).DisposeAsync();
        var after = await lab.WholeAsync();
        Assert.Equal(before.Role!.Term, after.Role!.Term);

        var verdict = await new TortureRunner(lab, seed: 2).PlayAsync(new TortureRound(1, TorturePath.Steady, PairSide.Primary, Strike.PowerOff, null, 0, 0));
        Assert.Empty(verdict.Complaints);
        Assert.NotEqual(verdict.Before, verdict.After);
    });

    [Fact]
    public Task Guest_ThatPanics_StaysWhereItIs() => WithAsync(async lab =>
    {
        var before = await lab.WholeAsync();
        await OrderAsync(lab, "panic");
        await Polling.UntilAsync(async c => !await AnswersAsync(lab, c), Patience, () => "the guest still answers");

        var epochs = before.Keepers.Max(k => k.Status?.Checkpoints.Count ?? 0);
        var after = await lab.Vm.UntilAsync(v => v.State == "protected" && v.Keepers.Max(k => k.Status?.Checkpoints.Count ?? 0) > epochs + 5, "protected and checkpointed", Patience);
        Assert.Equal((before.Role!.Term, before.Role.Primary), (after.Role!.Term, after.Role.Primary));
    });

    /// <summary>One that was killed may still give its memory back.</summary>
    private static Task NoQemuIsLeftAsync(TortureLab lab) =>
        Polling.UntilAsync(() => lab.Cluster.Hosts.All(h => h.FindQemus().Count == 0), Patience, () => "a QEMU goes on");

    private static async Task OrderAsync(TortureLab lab, string word)
    {
        using var socket = lab.Cluster.OpenClientSocket();
        using var patience = new CancellationTokenSource(Patience);
        await socket.ConnectAsync(Orders, patience.Token);
        await socket.SendAsync(Encoding.ASCII.GetBytes(word), patience.Token);
        socket.Shutdown(SocketShutdown.Send);
        if (word == Soon)
        {
            // The guest closes once it has the word.
            Assert.Equal(0, await socket.ReceiveAsync(new byte[1], patience.Token));
        }
    }

    /// <summary>The guest says other words than before: it has begun anew.</summary>
    private static async Task<bool> HasForgottenAsync(TortureLab lab, IReadOnlyList<ulong> said, CancellationToken cancellation)
    {
        try
        {
            var says = await BeaconMemory.ReadAsync(lab.Cluster.OpenClientSocket, TortureLab.Beacon, 0, TimeSpan.FromSeconds(2), cancellation);
            return says.Count > 0 && says[0] != said[0];
        }
        catch (Core.PolluxException)
        {
            return false;
        }
    }

    private static async Task<bool> AnswersAsync(TortureLab lab, CancellationToken cancellation)
    {
        try
        {
            await BeaconMemory.ReadAsync(lab.Cluster.OpenClientSocket, TortureLab.Beacon, 0, TimeSpan.FromSeconds(2), cancellation);
            return true;
        }
        catch (Core.PolluxException)
        {
            return false;
        }
    }
}
