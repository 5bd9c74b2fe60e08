using Pollux.Cluster.Keepers;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Tests.FaultRounds;
using Pollux.Replication.Pair;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Moving;

/// <summary>
/// A side of a live migration dies or is cut off at a step of it: one copy runs at the end, at the source or at the destination as the
/// role says, it is the guest of before, and the other host is clean.
/// </summary>
[Collection(MoveTestsCollection.Name)]
public sealed class MoveFaultTests(MoveLab lab, ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public enum MoveSide
    {
        Source,
        Destination,
    }

    public enum Death
    {
        Keeper,
        Qemu,
        Power,
        Agent,
    }

    /// <summary>Where: the side that reaches the step, and the step. Who dies of what there.</summary>
    [Theory]
    // The state travels.
    [InlineData(MoveSide.Source, "Hears.SwitchoverReached", MoveSide.Source, Death.Keeper)]
    [InlineData(MoveSide.Source, "Hears.SwitchoverReached", MoveSide.Destination, Death.Keeper)]
    [InlineData(MoveSide.Destination, "Hears.PrimaryConnected", MoveSide.Destination, Death.Qemu)]
    // It has all been sent, and nothing handed over.
    [InlineData(MoveSide.Source, "Hears.StreamSent", MoveSide.Source, Death.Keeper)]
    [InlineData(MoveSide.Source, "Hears.StreamSent", MoveSide.Destination, Death.Qemu)]
    [InlineData(MoveSide.Source, "Hears.StreamSent", MoveSide.Source, Death.Agent)]
    // The role says the destination, which has not let it run yet.
    [InlineData(MoveSide.Destination, "Does.RunGuest", MoveSide.Source, Death.Power)]
    [InlineData(MoveSide.Destination, "Does.RunGuest", MoveSide.Destination, Death.Keeper)]
    public Task ASideDies_OneCopyRunsOn(MoveSide at, string point, MoveSide dies, Death death) => DieAsync(at, point, dies, death);

    /// <summary>Handed over: who swaps first runs it. Half a minute each, in which nothing is begun over a guest that moved.</summary>
    [Theory]
    [Trait("Suite", "long")]
    [InlineData(MoveSide.Destination, "Hears.HandedOver", MoveSide.Destination, Death.Keeper)]
    [InlineData(MoveSide.Destination, "Does.SwapRole.Running", MoveSide.Source, Death.Keeper)]
    [InlineData(MoveSide.Destination, "Does.SwapRole.Running", MoveSide.Destination, Death.Keeper)]
    public Task AKeeperDiesOnceItIsHandedOver_OneCopyRunsOn(MoveSide at, string point, MoveSide dies, Death death) => DieAsync(at, point, dies, death);

    /// <inheritdoc cref="ASideDies_OneCopyRunsOn"/>
    [Theory]
    [Trait("Suite", "long")]
    [InlineData(MoveSide.Source, "Hears.SwitchoverReached", MoveSide.Destination, Death.Power)]
    [InlineData(MoveSide.Destination, "Hears.HandedOver", MoveSide.Destination, Death.Power)]
    [InlineData(MoveSide.Destination, "Does.SwapRole.Running", MoveSide.Source, Death.Power)]
    public Task AHostDies_OneCopyRunsOn(MoveSide at, string point, MoveSide dies, Death death) => DieAsync(at, point, dies, death);

    private async Task DieAsync(MoveSide at, string point, MoveSide dies, Death death)
    {
        var (source, destination) = await lab.WholeAsync();
        string HostOf(MoveSide side) => side == MoveSide.Source ? source : destination;
        await lab.JudgedAsync(async _ =>
        {
            using (var armed = lab.Cluster.Arm(HostOf(at), lab.Vm.Name, point))
            {
                await lab.BeginAsync(destination, new MigrationSettings(BytesPerSecond: 100_000_000));
                await armed.ReachedAsync(Patience);
                using var fault = lab.Cluster.Prepare(death switch
                {
                    Death.Keeper => new LabFault.KillKeeper(lab.Vm.Name, HostOf(dies)),
                    Death.Qemu => new LabFault.KillQemu(lab.Vm.Name, HostOf(dies)),
                    Death.Power => new LabFault.PowerOff(HostOf(dies)),
                    _ => new LabFault.KillAgent(HostOf(dies)),
                });
                fault.Strike();
            }
            await lab.Vm.UntilAsync(v => v is { State: "running", Role.State: RoleState.Running } && lab.Cluster[v.Host.Value].Power == HostPower.On, "running", Patience);
            var (now, _) = await lab.WholeAsync();
            output.WriteLine($"{dies} loses its {death} at {at}'s {point}: it runs at {(now == source ? "the source" : "the destination")}");
        });
    }

    /// <summary>The destination's guest does not run: the source's copy, which stands still meanwhile, goes on.</summary>
    [Theory]
    [InlineData("Does.SwapRole.Running", "KILL")]
    [InlineData("Does.RunGuest", "KILL")]
    public Task TheDestinationsQemuDoesNotRunIt_TheSourceRunsOn(string point, string signal) => GiveBackAsync(point, signal);

    [Fact]
    [Trait("Suite", "long")]
    public Task TheDestinationsQemuHangs_TheSourceRunsOn() => GiveBackAsync("Does.RunGuest", "STOP");

    private async Task GiveBackAsync(string point, string signal)
    {
        var (source, destination) = await lab.WholeAsync();
        await lab.JudgedAsync(async _ =>
        {
            using (var armed = lab.Cluster.Arm(destination, lab.Vm.Name, point))
            {
                await lab.BeginAsync(destination, new MigrationSettings(BytesPerSecond: 100_000_000));
                await armed.ReachedAsync(Patience);
                var qemu = Assert.Single(lab.Cluster[destination].FindQemus(lab.Vm.Name));
                (await Tool.RunAsync("kill", [$"-{signal}", $"{qemu}"])).Checked("kill");
            }
            await lab.AnswersAsync();
            Assert.Equal((source, destination), await lab.WholeAsync());
            Assert.Null((await lab.ChecksumAsync()).Complaint);
        });
    }

    /// <summary>The hosts cannot reach each other any more, and both reach the witness.</summary>
    [Theory]
    [InlineData(MoveSide.Source, "Hears.SwitchoverReached")]
    [InlineData(MoveSide.Source, "Hears.StreamSent")]
    [InlineData(MoveSide.Destination, "Hears.HandedOver")]
    [InlineData(MoveSide.Destination, "Does.SwapRole.Running")]
    public async Task TheLinkIsCut_OneCopyRunsOn(MoveSide at, string point)
    {
        var (source, destination) = await lab.WholeAsync();
        await lab.JudgedAsync(async _ =>
        {
            using (var armed = lab.Cluster.Arm(at == MoveSide.Source ? source : destination, lab.Vm.Name, point))
            {
                await lab.BeginAsync(destination, new MigrationSettings(BytesPerSecond: 100_000_000));
                await armed.ReachedAsync(Patience);
                await lab.Cluster.Wires.CutAsync(source, destination);
            }
            await lab.AnswersAsync();
            await lab.Cluster.Wires.HealAsync();
            var (now, _) = await lab.WholeAsync();
            output.WriteLine($"cut at {at}'s {point}: it runs at {(now == source ? "the source" : "the destination")}");
        });
    }

    /// <summary>What a migration that came to nothing leaves in QEMU must not meet its next checkpoints; and a protected VM is not moved so.</summary>
    [Fact]
    public async Task AfterAFailedMove_TheGuestIsProtected_AndThenRefusesToMove()
    {
        var (source, destination) = await lab.WholeAsync();
        await lab.JudgedAsync(async _ =>
        {
            using (var armed = lab.Cluster.Arm(source, lab.Vm.Name, "Hears.StreamSent"))
            {
                await lab.BeginAsync(destination);
                await armed.ReachedAsync(Patience);
                Strike(new LabFault.KillQemu(lab.Vm.Name, destination));
            }
            Assert.Equal((source, destination), await lab.WholeAsync());
            await lab.Vm.ProtectAsync();
            await lab.Vm.UntilAsync(v => v.State == "protected", "protected", Patience);
            var refused = await lab.Cluster.ExecAsync(source, ["pollux", "vm", "migrate", lab.Vm.Name.Value, "--to", destination]);
            Assert.Contains($"let its standby on {destination} take over", refused.Errors);
            await lab.Vm.UnprotectAsync();
            await lab.Vm.UntilAsync(v => v is { State: "running", Role.State: RoleState.Running }, "unprotected", Patience);
        });
        await lab.WholeAsync();
        await lab.MoveAsync(destination);
    }

    /// <summary>Handed over, and nobody to say who may run it: nobody runs it until somebody does.</summary>
    [Fact]
    public async Task EtcdWithoutMajority_NobodyRunsItUntilEtcdIsBack()
    {
        var (source, destination) = await lab.WholeAsync();
        await lab.JudgedAsync(async load =>
        {
            using (var armed = lab.Cluster.Arm(destination, lab.Vm.Name, "Does.SwapRole.Running"))
            {
                await lab.BeginAsync(destination);
                await armed.ReachedAsync(Patience);
                Strike(new LabFault.EtcdDown("w"));
                Strike(new LabFault.EtcdDown(source));
            }
            var answered = load.Log.Count;
            await lab.Vm.UntilAsync(v => v.Keepers.Any(k => k.Status is { HasArbiter: false }), "without an arbiter", Patience);
            Assert.Equal(answered, load.Log.Count);
            Strike(new LabFault.EtcdUp("w"));
            Strike(new LabFault.EtcdUp(source));
            await lab.AnswersAsync();
            await lab.WholeAsync();
        });
    }

    /// <summary>What the destination's QEMU is like, and what the user is told.</summary>
    [Fact]
    public Task ADestinationWithoutTheCpu_IsRefused_AndTheGuestRunsOn() => BeRefusedAsync(
        "case \" $* \" in *\" -incoming \"*) set -- \"$@\" -cpu nosuch ;; esac; exec qemu-system-x86_64 \"$@\"", "unable to find CPU model 'nosuch'");

    [Fact]
    [Trait("Suite", "long")]
    public Task ADestinationWithAnotherVersion_IsRefused_AndTheGuestRunsOn() => BeRefusedAsync(
        "[ \"$1\" != --version ] || { echo QEMU emulator version 8.1.0; exit; }; exec qemu-system-x86_64 \"$@\"", "QEMU");

    [Fact]
    [Trait("Suite", "long")]
    public Task ADestinationWithAnotherDevice_IsRefused_AndTheGuestRunsOn() => BeRefusedAsync(
        "case \" $* \" in *\" -incoming \"*) set -- \"$@\" -global virtio-net-pci.mrg_rxbuf=off ;; esac; exec qemu-system-x86_64 \"$@\"", "load of migration failed");

    private async Task BeRefusedAsync(string qemu, string problem)
    {
        var (source, destination) = await lab.WholeAsync();
        var directory = Directory.CreateTempSubdirectory("pollux-qemu").FullName;
        await using (await OtherQemu.ThroughAsync(lab.Cluster, destination, directory, qemu))
        {
            await lab.JudgedAsync(async _ =>
            {
                var refused = await lab.Cluster.ExecAsync(source, ["pollux", "vm", "migrate", lab.Vm.Name.Value, "--to", destination]);
                output.WriteLine(refused.Errors);
                Assert.NotEqual(0, refused.ExitCode);
                Assert.Contains(problem, refused.Errors);
                Assert.Equal((source, destination), await lab.WholeAsync());
            });
        }
        Directory.Delete(directory, recursive: true);
        await lab.MoveAsync(destination);
    }

    [Fact]
    public async Task ADestinationWithTooLittleMemory_IsRefused()
    {
        var (source, destination) = await lab.WholeAsync();
        (await lab.Cluster.ExecAsync(destination, ["mount", "-t", "tmpfs", "-o", "size=64m", "full", "/dev/shm"])).Checked("mount");
        try
        {
            var refused = await lab.Cluster.ExecAsync(source, ["pollux", "vm", "migrate", lab.Vm.Name.Value, "--to", destination]);
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains($"needs 256 MiB of memory, and /dev/shm on {destination} has 64 MiB left", refused.Errors);
        }
        finally
        {
            (await lab.Cluster.ExecAsync(destination, ["umount", "/dev/shm"])).Checked("umount");
        }
        Assert.Equal((source, destination), await lab.WholeAsync());
    }

    private void Strike(LabFault fault)
    {
        using var prepared = lab.Cluster.Prepare(fault);
        prepared.Strike();
    }
}
