using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Qemu.Spec;

namespace Pollux.Qemu.Probing;

/// <summary>Which accelerator this host's guests get when their spec leaves it open.</summary>
/// <param name="Accelerator">kvm or tcg.</param>
/// <param name="Why">A sentence; for TCG the warning with what is wrong with KVM.</param>
/// <param name="NextStep">How KVM can be had; null when it is there.</param>
public sealed record AcceleratorFinding(Accelerator Accelerator, string Why, string? NextStep)
{
    /// <summary>As specs and records name it.</summary>
    [JsonIgnore]
    public string Name => Accelerator == Accelerator.Kvm ? "kvm" : "tcg";
}

/// <summary>
/// Finds out whether KVM works. That /dev/kvm opens says little: under some para-virtual hypervisors it does and emulates every
/// instruction of a guest's kernel, so that Linux seems to hang. So a tiny guest (<see cref="TrialFirmware"/>) must enter 64-bit mode
/// and compute, within seconds; else guests get QEMU's emulation, which is slow but moves.
/// </summary>
public static class AcceleratorProbe
{
    private const string Device = "/dev/kvm";
    private const string CacheFile = "accelerator.json";

    /// <summary>For QEMU to start and the guest's first instructions, on a machine that is busy.</summary>
    private static readonly TimeSpan ToBegin = TimeSpan.FromSeconds(5);

    /// <summary>For what takes a real CPU 30 ms.</summary>
    private static readonly TimeSpan ToCompute = TimeSpan.FromSeconds(3);

    /// <summary>
    /// The finding of this boot for this binary as <paramref name="directory"/> remembers it, or a trial's, which is then remembered.
    /// Never fails but by cancellation.
    /// </summary>
    public static async Task<AcceleratorFinding> FindAsync(string qemu, string directory, CancellationToken cancellation)
    {
        var file = Path.Combine(directory, CacheFile);
        var subject = SubjectOf(qemu);
        if (Remembered(file) is { } known && known.Subject == subject)
        {
            return known.Finding;
        }
        var finding = await TryAsync(qemu, cancellation).ConfigureAwait(false);
        try
        {
            File.WriteAllBytes(file + ".new", JsonSerializer.SerializeToUtf8Bytes(new Memory(subject, finding), ProbingJson.Default.Memory));
            File.Move(file + ".new", file, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then the next start tries again.
        }
        return finding;
    }

    /// <summary>Tries KVM now.</summary>
    public static async Task<AcceleratorFinding> TryAsync(string qemu, CancellationToken cancellation)
    {
        if (!File.Exists(Device))
        {
            return NoKvm($"there is no {Device}", "enable virtualization in the firmware (or nested virtualization in the hypervisor below) and load kvm_intel or kvm_amd");
        }
        try
        {
            using var opened = File.OpenHandle(Device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return NoKvm($"{Device} cannot be opened ({e.Message})", "run as root, or free KVM of the program that holds it");
        }
        try
        {
            var (heard, complaint) = await BootAsync(qemu, Accelerator.Kvm, ToBegin, ToCompute, cancellation).ConfigureAwait(false);
            return Judge(heard, complaint);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception or PolluxException)
        {
            return NoKvm($"KVM cannot be tried ({e.Message})", "correct that and start the agent again");
        }
    }

    /// <summary>What the trial guest said, and what QEMU complained of.</summary>
    internal static async Task<(IReadOnlyList<byte> Heard, string Complaint)> BootAsync(
        string qemu, Accelerator accelerator, TimeSpan toBegin, TimeSpan toCompute, CancellationToken cancellation)
    {
        using var firmware = AnonymousFile.Create("pollux-trial.rom", TrialFirmware.Image());
        return await RunAsync(qemu, accelerator == Accelerator.Kvm ? "kvm" : "tcg", firmware.Path, toBegin, toCompute, cancellation).ConfigureAwait(false);
    }

    private static async Task<(IReadOnlyList<byte> Heard, string Complaint)> RunAsync(
        string qemu, string accelerator, string firmware, TimeSpan toBegin, TimeSpan toCompute, CancellationToken cancellation)
    {
        // timeout(1) ends the trial even if this process is killed meanwhile.
        var start = new ProcessStartInfo("timeout") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])[
            "--signal=KILL", $"{2 * (toBegin + toCompute).TotalSeconds:0}", qemu, "-accel", accelerator, "-machine", "pc", "-m", "16", "-bios", firmware,
            "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-debugcon", "stdio"])
        {
            start.ArgumentList.Add(argument);
        }
        using var trial = System.Diagnostics.Process.Start(start) ?? throw new UnreachableException("Process.Start with a new process returns it");
        var complaint = trial.StandardError.ReadToEndAsync(cancellation);
        var heard = new List<byte>();
        try
        {
            await ListenAsync(trial.StandardOutput.BaseStream, heard, toBegin, toCompute, cancellation).ConfigureAwait(false);
        }
        finally
        {
            trial.Kill(entireProcessTree: true);
            await trial.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        }
        return (heard, await complaint.ConfigureAwait(false));
    }

    /// <summary>Until the guest has said its last word, QEMU has ended, or the time is over.</summary>
    private static async Task ListenAsync(Stream console, List<byte> heard, TimeSpan toBegin, TimeSpan toCompute, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(toBegin);
        var one = new byte[1];
        try
        {
            while (!heard.Contains(TrialFirmware.Computed) && await console.ReadAsync(one, patience.Token).ConfigureAwait(false) > 0)
            {
                if (heard.Count == 0)
                {
                    patience.CancelAfter(toCompute);
                }
                heard.Add(one[0]);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // Silence is the answer.
        }
    }

    private static AcceleratorFinding Judge(IReadOnlyList<byte> heard, string complaint)
    {
        if (heard.Contains(TrialFirmware.Computed))
        {
            return new AcceleratorFinding(Accelerator.Kvm, "KVM works: a trial guest ran in 64-bit mode at full speed", null);
        }
        if (heard.Contains(TrialFirmware.InLongMode))
        {
            return NoKvm(
                $"KVM opens but runs a 64-bit guest a hundred times too slowly{(Directory.Exists("/sys/module/kvm_pvm") ? " (kvm_pvm emulates a guest's kernel)" : "")}",
                "use a host with hardware virtualization (nested virtualization on), if this one shall not be slow");
        }
        var words = complaint.Split('\n').LastOrDefault(line => line.Length > 0 && !line.Contains("warning:", StringComparison.Ordinal));
        var problem = (heard.Contains(TrialFirmware.Began), words) switch
        {
            (true, _) => "KVM opens but a trial guest did not reach 64-bit mode",
            (_, null) => $"KVM opens but a trial guest did not begin within {ToBegin.TotalSeconds:0} s",
            _ => $"KVM opens but QEMU ran no trial guest ({words})",
        };
        return NoKvm(problem, "use a host with hardware virtualization (nested virtualization on), if this one shall not be slow");
    }

    private static AcceleratorFinding NoKvm(string problem, string nextStep) =>
        new(Accelerator.Tcg, $"{problem}; guests run under QEMU's emulation (TCG), many times slower", nextStep);

    /// <summary>The kernel's boot and the binary's identity: with another of either a finding says nothing.</summary>
    private static string SubjectOf(string qemu)
    {
        var path = Programs.Find(qemu);
        var boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
        return path is null ? $"{boot} {qemu}" : $"{boot} {path} {new FileInfo(path).Length} {File.GetLastWriteTimeUtc(path):o}";
    }

    private static Memory? Remembered(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(file), ProbingJson.Default.Memory);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    internal sealed record Memory(string Subject, AcceleratorFinding Finding);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(AcceleratorProbe.Memory))]
internal sealed partial class ProbingJson : JsonSerializerContext;
