using System.Globalization;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Pollux.Qemu.Process;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench.Modes;

/// <summary>The checkpoints of a window.</summary>
internal sealed record WindowCheckpoints(double PerSecond, PauseFigures PauseMs, double PagesP50);

/// <summary>One life of a guest, through which several modes are measured.</summary>
internal abstract class ModeGuest : IAsyncDisposable
{
    public abstract string SerialLog { get; }
    public abstract string RamFile { get; }
    public abstract Task EnterAsync(Mode mode, CancellationToken cancellation);

    /// <summary>Forgets the checkpoints so far.</summary>
    public abstract Task BeginAsync(Mode mode, CancellationToken cancellation);

    public abstract Task<WindowCheckpoints> EndAsync(double seconds, CancellationToken cancellation);

    public abstract ValueTask DisposeAsync();

    /// <summary>The guest of a load. Machine <c>pc</c> for all, since an upstream COLO pair needs it.</summary>
    public static async Task<VmSpec> SpecAsync(LabCluster lab, ModeLoad load, CancellationToken cancellation)
    {
        const int dirtyMiB = 64;
        var example = await RedisGuest.SpecAsync(lab, cancellation).ConfigureAwait(false);
        var common = example with
        {
            Machine = "pc",
            // A crowded machine is late at times; no takeover is wanted here.
            FaultTolerance = example.FaultTolerance with { IntervalMs = load.IntervalMs, DetectionMs = 2000, ScrubSeconds = 0 },
        };
        return load.Guest == GuestKind.Linux
            ? common with { CommandLine = $"{example.CommandLine} quiet{(load.PagesPerSecond > 0 ? $" pollux.dirty={dirtyMiB}:{load.PagesPerSecond}" : "")}" }
            : common with
            {
                Name = VmName.Create("boot32"), Accelerator = Accelerator.Kvm, Kernel = Path.Combine(lab.Programs.Root, ".cache/guests/boot32/boot32.elf"), Initrd = null, Nics = [],
                CommandLine = string.Create(CultureInfo.InvariantCulture, $"pages={load.PagesPerRound} mib={dirtyMiB} pace=5"),
            };
    }

    public static string InHost(LabCluster lab, string host, string path) => $"/proc/{lab[host].InitProcess()}/root{path}";
}

/// <summary>The guest under Pollux's keeper, protected or not.</summary>
internal sealed class PolluxGuest(LabCluster lab, LabVm vm, int intervalMs) : ModeGuest
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);
    private bool _isProtected;

    public override string SerialLog => InHost(lab, "h1", $"/run/pollux/vms/{vm.Name}/serial.log");
    public override string RamFile => Directory.GetFiles(InHost(lab, "h1", "/dev/shm"), $"*{vm.Name}*").Single();
    public string QemuVersion { get; private set; } = "";
    public string Accelerator { get; private set; } = "";

    public static async Task<PolluxGuest> StartAsync(LabCluster lab, ModeLoad load, CancellationToken cancellation)
    {
        var vm = await LabVm.StartAsync(lab, await SpecAsync(lab, load, cancellation).ConfigureAwait(false), "h1", cancellation).ConfigureAwait(false);
        var guest = new PolluxGuest(lab, vm, load.IntervalMs);
        await vm.UntilAsync(v => v.State == "running", "running", Patience, cancellation).ConfigureAwait(false);
        var keeper = await guest.KeeperAsync(cancellation).ConfigureAwait(false);
        (guest.QemuVersion, guest.Accelerator) = (keeper.QemuVersion, keeper.Accelerator);
        return guest;
    }

    public override async Task EnterAsync(Mode mode, CancellationToken cancellation)
    {
        var wanted = mode is Mode.Pollux;
        if (wanted && !_isProtected)
        {
            await vm.ProtectAsync(cancellation).ConfigureAwait(false);
            await vm.UntilAsync(v => v.State == "protected", "protected", Patience, cancellation).ConfigureAwait(false);
        }
        else if (!wanted && _isProtected)
        {
            await vm.UnprotectAsync(cancellation).ConfigureAwait(false);
            await vm.UntilAsync(v => v.State == "running", "unprotected", Patience, cancellation).ConfigureAwait(false);
        }
        _isProtected = wanted;
        await BeginAsync(mode, cancellation).ConfigureAwait(false);
    }

    /// <summary>Settings begin the keeper's figures anew, also when they are the same.</summary>
    public override async Task BeginAsync(Mode mode, CancellationToken cancellation)
    {
        if (mode is Mode.Pollux pollux)
        {
            await vm.SetAsync(pollux.Settings(intervalMs), cancellation).ConfigureAwait(false);
        }
    }

    public override async Task<WindowCheckpoints> EndAsync(double seconds, CancellationToken cancellation)
    {
        if (!_isProtected)
        {
            return new WindowCheckpoints(0, new PauseFigures(0, 0, 0), 0);
        }
        var after = await vm.ShowAsync(cancellation).ConfigureAwait(false);
        if (after.State != "protected")
        {
            throw new PolluxException($"the guest is {after.State} ({after.Note}) in the middle of a measurement", "see the logs of the lab");
        }
        var seen = (await KeeperAsync(cancellation).ConfigureAwait(false)).Checkpoints;
        return new WindowCheckpoints(seen.PerSecond, new PauseFigures(seen.PauseMs.P50, seen.PauseMs.P99, seen.PauseMs.Max), seen.Pages.P50);
    }

    public override async ValueTask DisposeAsync() => await vm.DeleteAsync().ConfigureAwait(false);

    private async Task<KeeperStatus> KeeperAsync(CancellationToken cancellation)
    {
        var shown = await vm.ShowAsync(cancellation).ConfigureAwait(false);
        return shown.KeeperOn(shown.Host) ?? throw new PolluxException($"the keeper of {vm.Name} on {shown.Host} does not answer");
    }
}

/// <summary>The same guest in an upstream COLO pair.</summary>
internal sealed class ColoGuest(ColoPair pair) : ModeGuest
{
    private bool _isProtected;

    public override string SerialLog => pair.SerialLog;
    public override string RamFile => pair.RamFile;

    public static async Task<ColoGuest> StartAsync(LabCluster lab, ModeLoad load, Accelerator accelerator, CancellationToken cancellation)
    {
        var version = await QemuVersion.OfAsync("qemu-system-x86_64", cancellation).ConfigureAwait(false);
        var spec = await SpecAsync(lab, load, cancellation).ConfigureAwait(false);
        return new ColoGuest(await ColoPair.StartAsync(lab, spec, accelerator, version, cancellation).ConfigureAwait(false));
    }

    public override async Task EnterAsync(Mode mode, CancellationToken cancellation)
    {
        if (!_isProtected)
        {
            await pair.ProtectAsync(cancellation).ConfigureAwait(false);
            _isProtected = true;
        }
        await pair.SetAsync((Mode.Colo)mode, cancellation).ConfigureAwait(false);
    }

    public override Task BeginAsync(Mode mode, CancellationToken cancellation)
    {
        pair.Pauses.Take();
        return Task.CompletedTask;
    }

    public override Task<WindowCheckpoints> EndAsync(double seconds, CancellationToken cancellation)
    {
        var pauses = pair.Pauses.Take();
        return Task.FromResult(new WindowCheckpoints(pauses.Count / seconds, PauseFigures.Of(pauses), 0));
    }

    public override ValueTask DisposeAsync() => pair.DisposeAsync();
}
