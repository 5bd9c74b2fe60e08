using Pollux.Core;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Qemu.Spec;
using Pollux.Wire.Migration;

namespace Pollux.Qemu.Probing;

/// <summary>
/// What a QEMU binary can do, found by trying: versions alone say too little (COLO is marked unstable, and was broken in some releases
/// between two in which it works; see docs/qemu.md).
/// </summary>
public static class QemuProbe
{
    private const string OtherQemu = "install another QEMU (Debian's 7.2, 10.0.13 and 11.1.3 can) and name it with 'qemu' in agent.yaml";
    private static readonly TimeSpan TrialWithin = TimeSpan.FromSeconds(30);

    /// <param name="shim">Where native/tcg-shim.c's library is said to be, or null.</param>
    public static async Task<IReadOnlyList<Finding>> LookAsync(string qemu, string? shim, CancellationToken cancellation)
    {
        QemuVersion version;
        try
        {
            version = await QemuVersion.OfAsync(qemu, cancellation).ConfigureAwait(false);
        }
        catch (PolluxException e)
        {
            return [new Finding("QEMU", Verdict.Missing, e.Problem, e.NextStep ?? OtherQemu)];
        }
        var accelerator = await AcceleratorProbe.TryAsync(qemu, cancellation).ConfigureAwait(false);
        var preload = shim is not null && File.Exists(shim) ? shim : null;
        return
        [
            new Finding("QEMU", Verdict.Ok, $"{Programs.Find(qemu) ?? qemu} is {version}"),
            new Finding("accelerator", accelerator.Accelerator == Accelerator.Kvm ? Verdict.Ok : Verdict.Warning, accelerator.Why, accelerator.NextStep),
            Shim(version, accelerator, shim, preload),
            await CheckpointAsync(qemu, version, accelerator.Accelerator, preload, cancellation).ConfigureAwait(false),
        ];
    }

    private static Finding Shim(QemuVersion version, AcceleratorFinding accelerator, string? shim, string? preload)
    {
        const string subject = "TCG shim";
        if (accelerator.Accelerator == Accelerator.Kvm || !version.NeedsTcgShim)
        {
            return new Finding(subject, Verdict.Ok, accelerator.Accelerator == Accelerator.Kvm ? "not needed with KVM" : $"not needed with QEMU {version}");
        }
        return preload is not null
            ? new Finding(subject, Verdict.Ok, $"{preload} will be preloaded, as QEMU {version} needs under TCG")
            : new Finding(
                subject, Verdict.Missing,
                $"QEMU {version} dead-locks at checkpoints under TCG without it, and {(shim is null ? "agent.yaml names none" : $"{shim} does not exist")}",
                "build native/tcg-shim.c (eng/setup.sh does) and name it with 'tcgShim' in agent.yaml");
    }

    /// <summary>Starts a machine without anything in it, takes the first copy and one checkpoint, and ends it.</summary>
    private static async Task<Finding> CheckpointAsync(string qemu, QemuVersion version, Accelerator accelerator, string? preload, CancellationToken cancellation)
    {
        const string subject = "checkpoints";
        if (accelerator != Accelerator.Kvm && version.NeedsTcgShim && preload is null)
        {
            return new Finding(subject, Verdict.Missing, "not tried, for QEMU would dead-lock", "see TCG shim");
        }
        var directory = Directory.CreateTempSubdirectory("pollux-").FullName;
        try
        {
            var pages = await TakeOneAsync(qemu, version, accelerator, preload, directory, cancellation).ConfigureAwait(false);
            return new Finding(subject, Verdict.Ok, $"QEMU {version} checkpoints: a bare machine was stopped, read ({pages} pages had changed) and resumed");
        }
        catch (Exception e) when (e is PolluxException or IOException or System.Net.Sockets.SocketException)
        {
            return new Finding(subject, Verdict.Missing, $"QEMU {version} cannot protect a VM: {WhyNot(e)}", OtherQemu);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static string WhyNot(Exception e) => e switch
    {
        { InnerException: QmpCommandException refusal } => refusal.Message,
        PolluxException expected => expected.Problem,
        _ => $"it closed the checkpoint channel ({e.Message})",
    };

    private static async Task<long> TakeOneAsync(
        string qemu, QemuVersion version, Accelerator accelerator, string? preload, string directory, CancellationToken cancellation)
    {
        var firmware = Path.Combine(directory, "trial.rom");
        await File.WriteAllBytesAsync(firmware, TrialFirmware.Image(), cancellation).ConfigureAwait(false);
        var qmpSocket = Path.Combine(directory, "qmp.sock");
        var log = Path.Combine(directory, "qemu.log");
        string[] arguments =
        [
            "-accel", accelerator == Accelerator.Kvm ? "kvm" : "tcg", "-machine", "pc", "-m", "16", "-bios", firmware,
            "-no-user-config", "-nodefaults", "-display", "none", "-qmp", $"unix:{qmpSocket},server=on,wait=off",
        ];
        using var process = QemuProcess.Start(new QemuLaunch(qemu, arguments, null, accelerator == Accelerator.Kvm ? null : preload, log));
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(TrialWithin);
        try
        {
            // A QEMU that dies or is killed ends every wait below: its sockets close.
            using var killed = deadline.Token.Register(process.Kill);
            var connecting = QmpSession.ConnectAsync(qmpSocket, TrialWithin, deadline.Token);
            if (await Task.WhenAny(connecting, process.Exited).ConfigureAwait(false) == process.Exited)
            {
                await deadline.CancelAsync().ConfigureAwait(false);
                await ((Task)connecting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                throw new PolluxException(await process.Exited.ConfigureAwait(false));
            }
            var qmp = await connecting.ConfigureAwait(false);
            await using (qmp.ConfigureAwait(false))
            {
                using var channel = await CheckpointChannel.OpenAsync(qmp, version, Path.Combine(directory, "colo.sock"), 100, deadline.Token).ConfigureAwait(false);
                return await Task.Run(() => Cycle(channel), CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (deadline.IsCancellationRequested && !cancellation.IsCancellationRequested && !process.Exited.IsCompletedSuccessfully)
        {
            throw new PolluxException($"it did not finish a checkpoint within {TrialWithin.TotalSeconds:0} s", null, e);
        }
        finally
        {
            await process.KillAsync(TimeSpan.FromSeconds(10)).ConfigureAwait(false);
        }
    }

    private static long Cycle(CheckpointChannel channel)
    {
        var nowhere = new Nowhere();
        channel.CaptureFirst(nowhere);
        channel.Resume();
        if (!channel.WaitForRequest())
        {
            throw new PolluxException("it closed the checkpoint channel after the first copy");
        }
        var result = channel.Capture(nowhere);
        channel.Resume();
        return channel.WaitForRequest() ? result.Pages : throw new PolluxException("it closed the checkpoint channel after the first checkpoint");
    }

    /// <summary>A checkpoint's bytes are read and forgotten.</summary>
    private sealed class Nowhere : ICheckpointBuffer
    {
        private readonly byte[] _space = new byte[256 << 10];

        public Span<byte> RamSpace() => _space;
        public Span<byte> DeviceSpace() => _space;

        public void RamFilled(int bytes)
        {
        }

        public void RamUnfilled(int bytes)
        {
        }

        public void DeviceFilled(int bytes)
        {
        }

        public void AppendDevice(ReadOnlySpan<byte> bytes)
        {
        }
    }
}
