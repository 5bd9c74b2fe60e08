using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Pollux.Core;

namespace Pollux.Qemu.Spec;

/// <summary>
/// Reads a VM spec from YAML. Everything is checked here, once: an error names the file, the line and the fix, and no half-read spec
/// exists. Paths relative to the spec's file become absolute. The members are described in docs/vm-spec.md.
/// </summary>
public static partial class VmSpecReader
{
    private const long MiB = 1 << 20;
    private const int MaxNics = 8;

    /// <param name="sourceName">The file's path, or in words where the text came from.</param>
    /// <exception cref="PolluxException">The text is no spec.</exception>
    public static VmSpec Read(string yaml, string sourceName)
    {
        var root = SpecNode.Parse(yaml, sourceName);
        root.Refuse("disks", "there are no disks yet", "leave 'disks' out: the guest runs from its kernel and initrd");
        root.AllowOnly("name", "cpus", "memory", "machine", "cpu", "accelerator", "kernel", "initrd", "commandLine", "nics", "availability", "faultTolerance");
        var name = root.Text("name") ?? throw root.Error("member 'name' is missing", "add 'name: my-vm'");
        return new VmSpec(
            Checked(root, "name", () => VmName.Create(name)),
            (int)root.Number("cpus", 1, 1, 64),
            Memory(root),
            Machine(root),
            Cpu(root),
            Choice(root, "accelerator", "auto", ("auto", Accelerator.Auto), ("kvm", Accelerator.Kvm), ("tcg", Accelerator.Tcg)),
            FilePath(root, "kernel", sourceName) ?? throw root.Error("member 'kernel' is missing", "name the kernel's file: kernel: /boot/vmlinuz"),
            FilePath(root, "initrd", sourceName),
            root.Text("commandLine") ?? "",
            Nics(root, name),
            Choice(root, "availability", "none", ("none", Availability.None), ("faultTolerant", Availability.FaultTolerant)),
            FaultTolerance(root));
    }

    private static long Memory(SpecNode root)
    {
        var text = root.Text("memory") ?? throw root.Error("member 'memory' is missing", "add 'memory: 512Mi'");
        var bytes = Size(root, "memory", text);
        return bytes % MiB == 0 && bytes is >= 16 * MiB and <= 1024L * 1024 * MiB
            ? bytes
            : throw root.ErrorAt("memory", $"memory is {text}", "choose a whole number of MiB with its unit, from 16Mi to 1Ti");
    }

    private static string Machine(SpecNode root)
    {
        var machine = root.Text("machine") ?? "q35";
        return MachineName().IsMatch(machine)
            ? machine
            : throw root.ErrorAt("machine", $"'{machine}' is no machine that can be protected", "choose q35 or pc, or a version of them such as pc-q35-7.2");
    }

    private static string Cpu(SpecNode root)
    {
        var cpu = root.Text("cpu") ?? "qemu64";
        return cpu is not ("host" or "max") && CpuName().IsMatch(cpu)
            ? cpu
            : throw root.ErrorAt("cpu", $"the CPU model '{cpu}' is not the same on every host", "name a model, such as qemu64 or Skylake-Server-v4");
    }

    private static IReadOnlyList<NicSpec> Nics(SpecNode root, string vm)
    {
        var nodes = root.List("nics");
        if (nodes.Count > MaxNics)
        {
            throw root.ErrorAt("nics", $"{nodes.Count} NICs", $"at most {MaxNics} are possible");
        }
        return [.. nodes.Select((node, i) => Nic(node, vm, i))];
    }

    private static NicSpec Nic(SpecNode node, string vm, int index)
    {
        node.AllowOnly("bridge", "mac", "model");
        var bridge = node.Text("bridge") ?? throw node.Error("member 'bridge' is missing", "name the host's bridge: bridge: br0");
        if (bridge.Length is 0 or > 15 || bridge.AsSpan().ContainsAny(" /\t"))
        {
            throw node.ErrorAt("bridge", $"'{bridge}' is no name of a bridge", "at most 15 characters, without blanks or slashes");
        }
        var mac = node.Text("mac") ?? MacOf(vm, index);
        if (!Mac().IsMatch(mac) || (Convert.ToByte(mac[..2], 16) & 1) != 0)
        {
            throw node.ErrorAt("mac", $"'{mac}' is no MAC address of one machine", "write six bytes as 52:54:00:12:34:56, the first one even");
        }
        return new NicSpec(bridge, mac.ToLowerInvariant(), Choice(node, "model", "virtio-net-pci", ("virtio-net-pci", "virtio-net-pci"), ("e1000e", "e1000e")));
    }

    /// <summary>The same on every host and at every start, and locally administered.</summary>
    private static string MacOf(string vm, int index)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{vm}/{index}"));
        return string.Join(':', new byte[] { 0x52, 0x54, 0x00, hash[0], hash[1], hash[2] }.Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));
    }

    private static FaultToleranceSpec FaultTolerance(SpecNode root)
    {
        var defaults = new FaultToleranceSpec();
        if (root.Map("faultTolerance") is not { } node)
        {
            return defaults;
        }
        node.AllowOnly("trigger", "transmission", "intervalMs", "floorMs", "dirtyPagesEarly", "detectionMs", "heartbeatMs", "bufferMax", "scrubSeconds", "shipping",
            "compression");
        var spec = new FaultToleranceSpec(
            Choice(node, "trigger", defaults.Trigger, ("periodic", "periodic"), ("on-output", "on-output"), ("adaptive", "adaptive")),
            Choice(node, "transmission", defaults.Transmission, ("postponed", "postponed"), ("synchronous", "synchronous")),
            Milliseconds(node, "intervalMs", defaults.IntervalMs, FaultToleranceRanges.Interval),
            Milliseconds(node, "floorMs", defaults.FloorMs, FaultToleranceRanges.Floor),
            (int)node.Number("dirtyPagesEarly", defaults.DirtyPagesEarly, 1, int.MaxValue),
            Milliseconds(node, "detectionMs", defaults.DetectionMs, FaultToleranceRanges.Detection),
            Milliseconds(node, "heartbeatMs", defaults.HeartbeatMs, FaultToleranceRanges.Heartbeat),
            node.Text("bufferMax") is { } size ? Size(node, "bufferMax", size) : null,
            (int)node.Number("scrubSeconds", defaults.ScrubSeconds, 0, 7 * 86_400),
            Choice(node, "shipping", defaults.Shipping, ("changes", "changes"), ("pages", "pages")),
            Choice(node, "compression", defaults.Compression, ("auto", "auto"), ("always", "always"), ("never", "never")));
        if (!FaultToleranceRanges.HasHeartbeatsEnough(spec.HeartbeatMs, spec.DetectionMs))
        {
            throw node.ErrorAt("detectionMs", $"detectionMs is {spec.DetectionMs} with a heartbeat every {spec.HeartbeatMs} ms", "allow for at least three heartbeats");
        }
        if (spec.Trigger == "adaptive" && spec.FloorMs > spec.IntervalMs)
        {
            throw node.ErrorAt("floorMs", $"floorMs is {spec.FloorMs}, the shortest run between two checkpoints, and intervalMs {spec.IntervalMs}, the longest", "choose a floorMs that is not above intervalMs");
        }
        if (spec.BufferMaxBytes < 8 * MiB)
        {
            throw node.ErrorAt("bufferMax", $"bufferMax is {spec.BufferMaxBytes} bytes", "give at least 8Mi");
        }
        return spec;
    }

    private static int Milliseconds(SpecNode node, string member, int otherwise, MsRange range) => (int)node.Number(member, otherwise, range.Least, range.Most);

    private static long Size(SpecNode node, string member, string text)
    {
        var match = SizeText().Match(text);
        if (!match.Success || !long.TryParse(match.Groups[1].Value, CultureInfo.InvariantCulture, out var number))
        {
            throw node.ErrorAt(member, $"'{text}' is no size", "write it as 512Mi or 4Gi");
        }
        var shift = match.Groups[2].Value.ToUpperInvariant() switch { "K" => 10, "M" => 20, "G" => 30, "T" => 40, _ => 0 };
        return number <= long.MaxValue >> (shift + 1) ? number << shift : throw node.ErrorAt(member, $"{text} is too much", "write it as 512Mi or 4Gi");
    }

    private static string? FilePath(SpecNode node, string member, string sourceName)
    {
        if (node.Text(member) is not { } path)
        {
            return null;
        }
        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal))
        {
            throw node.ErrorAt(member, $"{member} is no path", "write the path of a file");
        }
        if (Path.IsPathRooted(path))
        {
            return path;
        }
        return File.Exists(sourceName)
            ? Path.GetFullPath(path, Path.GetDirectoryName(Path.GetFullPath(sourceName))!)
            : throw node.ErrorAt(member, $"the path '{path}' is relative", "write it from the root: it is read on other hosts too");
    }

    private static T Choice<T>(SpecNode node, string member, string absent, params (string Name, T Value)[] choices)
    {
        var text = node.Text(member) ?? absent;
        foreach (var (name, value) in choices)
        {
            if (name == text)
            {
                return value;
            }
        }
        throw node.ErrorAt(member, $"'{text}' is no {member}", $"choose {string.Join(", ", choices.Select(c => c.Name))}");
    }

    private static T Checked<T>(SpecNode node, string member, Func<T> create)
    {
        try
        {
            return create();
        }
        catch (PolluxException e)
        {
            throw node.ErrorAt(member, e.Problem, e.NextStep);
        }
    }

    [GeneratedRegex(@"^(q35|pc|pc-(q35|i440fx)-\d+\.\d+)$")]
    private static partial Regex MachineName();

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._,+=-]*$")]
    private static partial Regex CpuName();

    [GeneratedRegex(@"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]
    private static partial Regex Mac();

    [GeneratedRegex(@"^(\d{1,18})(?:([KkMmGgTt])(?:i[Bb]?)?|[Bb])?$")]
    private static partial Regex SizeText();
}
