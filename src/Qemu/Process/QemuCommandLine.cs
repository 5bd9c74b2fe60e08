using Pollux.Qemu.Spec;

namespace Pollux.Qemu.Process;

/// <summary>What a QEMU process is for.</summary>
public enum QemuSide
{
    /// <summary>Boots and runs.</summary>
    Primary,

    /// <summary>Waits for the state of another, its RAM in a file that the keeper fills.</summary>
    Standby,

    /// <summary>Waits for the whole of another's guest, RAM included (live migration), and then stays paused until it is told to run.</summary>
    Destination,

    /// <summary>Waits like a standby, but sees the RAM file through a private map, is never run, and has no network.</summary>
    Rehearsal,
}

/// <summary>The files of one QEMU process.</summary>
/// <param name="Directory">Holds its sockets: qmp.sock, net0.sock, …</param>
/// <param name="RamFile">The guest's RAM.</param>
public sealed record QemuPaths(string Directory, string RamFile)
{
    public string Qmp => Path.Combine(Directory, "qmp.sock");
    public string Net(int nic) => Path.Combine(Directory, $"net{nic}.sock");
    public string Serial => Path.Combine(Directory, "serial.log");
    public string Log => Path.Combine(Directory, "qemu.log");
    public string Channel => Path.Combine(Directory, "colo.sock");
    public string Incoming => Path.Combine(Directory, "in.sock");
}

/// <summary>
/// A spec as QEMU's command line. Both sides of a pair get the same machine, devices and order: only then can one load the other's state.
/// </summary>
public static class QemuCommandLine
{
    /// <summary>The name of the RAM block in QEMU's streams.</summary>
    public const string RamBlock = "ram0";

    public static IReadOnlyList<string> Build(VmSpec spec, QemuSide side, QemuPaths paths, QemuVersion version, Accelerator accelerator)
    {
        var ramBytes = RamBytes(spec, version, accelerator);
        var share = side == QemuSide.Rehearsal ? "off" : "on";
        List<string> arguments =
        [
            "-name", $"{spec.Name},debug-threads=on",
            "-machine", $"{MachineOf(spec, version)},memory-backend={RamBlock}",
            "-accel", accelerator == Accelerator.Kvm ? "kvm" : "tcg",
            "-cpu", spec.Cpu,
            "-smp", $"{spec.Cpus}",
            "-object", $"memory-backend-file,id={RamBlock},size={ramBytes},share={share},mem-path={paths.RamFile}",
            "-m", $"{ramBytes >> 10}k",
            "-no-user-config", "-nodefaults", "-nographic", "-monitor", "none",
            // QEMU is hostile once its guest broke into it: it may start no program and change neither its user nor its priority.
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            // A guest that shuts down stays, stopped, until its keeper has written so: an exit of QEMU is always a fault.
            "-no-shutdown",
            // For append, so that its keeper can cut a long one.
            "-chardev", $"file,id=console,path={paths.Serial},append=on", "-serial", "chardev:console",
            "-qmp", $"unix:{paths.Qmp},server=on,wait=off",
            "-kernel", spec.Kernel,
        ];
        if (spec.Initrd is not null)
        {
            arguments.AddRange("-initrd", spec.Initrd);
        }
        if (spec.CommandLine.Length > 0)
        {
            arguments.AddRange("-append", spec.CommandLine);
        }
        for (var nic = 0; nic < spec.Nics.Count; nic++)
        {
            arguments.AddRange(
                "-netdev", $"stream,id=n{nic},server=on,addr.type=unix,addr.path={paths.Net(nic)}",
                "-device", $"{spec.Nics[nic].Model},netdev=n{nic},mac={spec.Nics[nic].Mac}");
        }
        if (side != QemuSide.Primary)
        {
            arguments.AddRange("-incoming", "defer");
        }
        if (side is QemuSide.Rehearsal or QemuSide.Destination)
        {
            arguments.Add("-S");
        }
        return arguments;
    }

    /// <summary>Versioned, so that two QEMUs of one version make the same machine for ever.</summary>
    public static string MachineOf(VmSpec spec, QemuVersion version) => spec.Machine switch
    {
        "q35" => $"pc-q35-{version.Major}.{version.Minor}",
        "pc" => $"pc-i440fx-{version.Major}.{version.Minor}",
        _ => spec.Machine,
    };

    /// <summary>The size of the RAM block, two pages more than asked for where a quirk of QEMU requires it.</summary>
    public static long RamBytes(VmSpec spec, QemuVersion version, Accelerator accelerator) =>
        spec.MemoryBytes + (accelerator != Accelerator.Kvm && version.LosesAlignedPagesUnderTcg ? 8192 : 0);
}
