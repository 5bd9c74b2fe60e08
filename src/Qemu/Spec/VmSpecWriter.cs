using System.Globalization;
using System.Text;

namespace Pollux.Qemu.Spec;

/// <summary>Writes a spec as YAML with every member said and every path absolute, as it is kept in the store.</summary>
public static class VmSpecWriter
{
    public static string Write(VmSpec spec)
    {
        var text = new StringBuilder();
        void Line(string member, object? value) => text.Append(CultureInfo.InvariantCulture, $"{member}: {value}\n");
        Line("name", spec.Name);
        Line("cpus", spec.Cpus);
        Line("memory", $"{spec.MemoryBytes >> 20}Mi");
        Line("machine", spec.Machine);
        Line("cpu", Quoted(spec.Cpu));
        Line("accelerator", spec.Accelerator switch { Accelerator.Kvm => "kvm", Accelerator.Tcg => "tcg", _ => "auto" });
        Line("kernel", Quoted(spec.Kernel));
        if (spec.Initrd is not null)
        {
            Line("initrd", Quoted(spec.Initrd));
        }
        Line("commandLine", Quoted(spec.CommandLine));
        text.Append(spec.Nics.Count == 0 ? "nics: []\n" : "nics:\n");
        foreach (var nic in spec.Nics)
        {
            Line("  - bridge", Quoted(nic.Bridge));
            Line("    mac", Quoted(nic.Mac));
            Line("    model", nic.Model);
        }
        Line("availability", spec.Availability == Availability.FaultTolerant ? "faultTolerant" : "none");
        var ft = spec.FaultTolerance;
        text.Append("faultTolerance:\n");
        Line("  trigger", ft.Trigger);
        Line("  transmission", ft.Transmission);
        Line("  intervalMs", ft.IntervalMs);
        Line("  floorMs", ft.FloorMs);
        Line("  dirtyPagesEarly", ft.DirtyPagesEarly);
        Line("  detectionMs", ft.DetectionMs);
        Line("  heartbeatMs", ft.HeartbeatMs);
        Line("  scrubSeconds", ft.ScrubSeconds);
        Line("  shipping", ft.Shipping);
        Line("  compression", ft.Compression);
        if (ft.BufferMaxBytes is { } bytes)
        {
            Line("  bufferMax", bytes);
        }
        return text.ToString();
    }

    /// <summary>Single quotes: YAML reads nothing into them but a doubled one.</summary>
    private static string Quoted(string value) => $"'{value.Replace("'", "''", StringComparison.Ordinal)}'";
}
