using System.Diagnostics;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Lab.Network;
using Pollux.Linux.Cgroups;
using Pollux.Linux.Namespaces;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Hosts;

/// <summary>How a host is.</summary>
public enum HostPower
{
    Off,
    On,
    Frozen,
}

/// <summary>
/// One machine of a lab: a tree of processes in namespaces and a cgroup of its own. Nothing about it is remembered here; every
/// question is answered from the kernel, so that any process may ask and a killed one leaves no wrong memory.
/// </summary>
public sealed class LabHost(LabName lab, LabMember member)
{
    /// <summary>Where the host's own processes live; the agent makes groups for its VMs beside it.</summary>
    private const string ServicesGroup = "services";

    private const string AgentSocketInside = "run/pollux/polluxd.sock";
    private const string AgentName = "polluxd";
    private const string KeeperName = "pollux-keeper";
    private const string EtcdName = "etcd";
    private const string QemuName = "qemu-system-x86";

    /// <summary>A QEMU that was unpacked with its own libraries is started by its own loader (eng/unpack-qemu.sh).</summary>
    private const string LoaderName = "ld-linux-x86-64";
    private const string QemuBinary = "/qemu-system-x86_64";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    public LabMember Member => member;

    public HostId Name => member.Name;

    public ControlGroup Cgroup => lab.CgroupOf(member);

    public string LogDirectory => Path.Combine(lab.DirectoryOf(member), "log");

    /// <summary>Whether etcd is not to run (<see cref="Faults.LabFault.EtcdDown"/>), be the host on or off.</summary>
    public bool IsEtcdHeld => File.Exists(EtcdHold);

    public HostPower Power => !Cgroup.IsPopulated ? HostPower.Off : Cgroup.IsFrozen ? HostPower.Frozen : HostPower.On;

    /// <summary>The agent's API socket, reachable from outside of the host's namespaces while the host is on.</summary>
    public string AgentSocket => Path.Combine($"/proc/{InitProcess()}/root", AgentSocketInside);

    /// <summary>Where its keepers' fault points are armed, as seen from outside; it is gone with the host's power.</summary>
    internal string FaultPoints => $"/proc/{InitProcess()}/root{HostFiles.FaultPointsDirectory}";

    /// <summary>The host's first process, by the machine's numbering.</summary>
    /// <exception cref="PolluxException">The host is off.</exception>
    public int InitProcess() => FindInit()
        ?? throw new PolluxException($"host {member.Name} of lab '{lab}' is off", $"pollux lab power-on {member.Name}");

    /// <summary>Waits until the last process of a host that was powered off has gone. A host that is on is not waited for.</summary>
    public async Task DeadAsync(CancellationToken cancellation = default)
    {
        if (Power == HostPower.Off || LabNetwork.IsConnected(lab, member))
        {
            return;
        }
        await Polling.UntilAsync(() => Power == HostPower.Off, Deadline,
            () => $"processes of host {member.Name} do not end: {string.Join(", ", Cgroup.Processes())}", cancellation).ConfigureAwait(false);
    }

    /// <summary>A host that is off starts; returns when its first process runs. Its files must be written.</summary>
    internal async Task StartAsync(LabPlan plan, CancellationToken cancellation)
    {
        await LabNetwork.RemoveAsync(lab, member, cancellation).ConfigureAwait(false);
        await LabNetwork.ConnectAsync(lab, member, cancellation).ConfigureAwait(false);
        await FaultyWires.RestoreAsync(plan, member, cancellation).ConfigureAwait(false);
        var services = Cgroup.Child(ServicesGroup).Create();
        Cgroup.Thaw();
        var directory = lab.DirectoryOf(member);
        var log = Path.Combine(LogDirectory, "init.log");
        string[] command =
        [
            // Out of this process's session and into the host's cgroup before anything else happens.
            "-f", "/bin/sh", "-c", "echo $$ > \"$1/cgroup.procs\" && exec > \"$2\" 2>&1 < /dev/null && shift 2 && exec \"$@\"", "sh", services.Path, log,
            "nsenter", $"--net={NetworkNamespace.PathOf(lab.NamespaceOf(member))}",
            "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child",
            "tini", "-g", "--", "/bin/sh", Path.Combine(directory, "init.sh"), member.Name.Value, directory,
        ];
        // No pipes: the host must not hold one of this process.
        using var launcher = Tool.Start(new ProcessStartInfo("setsid", command));
        await launcher.WaitForExitAsync(cancellation).ConfigureAwait(false);
        await Polling.UntilAsync(() => IsUp(log), Deadline, () => $"host {member.Name} did not start: {LastLines(log)}", cancellation).ConfigureAwait(false);
    }

    /// <summary>A command that runs inside the host, in all its namespaces and its cgroup, in the caller's directory, with the lab's programs in PATH.</summary>
    /// <exception cref="PolluxException">The host is off or frozen.</exception>
    public ProcessStartInfo Enter(IEnumerable<string> command, LabPrograms programs)
    {
        if (Power == HostPower.Frozen)
        {
            throw new PolluxException($"host {member.Name} of lab '{lab}' is frozen", $"pollux lab thaw {member.Name}");
        }
        string[] enter =
        [
            "-c", "echo $$ > \"$1/cgroup.procs\" && shift && exec nsenter \"$@\"", "sh", Cgroup.Child(ServicesGroup).Path,
            "-t", $"{InitProcess()}", "-a", "--",
            // From here on in the host, which shares this directory with the machine unless it is in /run, /dev/shm or /etc/pollux.
            "/bin/sh", "-c", "cd \"$1\" 2> /dev/null; shift; exec \"$@\"", "sh", Environment.CurrentDirectory,
        ];
        var start = new ProcessStartInfo("/bin/sh", [.. enter, .. command]);
        start.Environment["PATH"] = $"{programs.BinDirectory}:{Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        return start;
    }

    internal IReadOnlyList<int> FindEtcd() => Find(EtcdName, null);

    /// <summary>The host's init starts no etcd while this file is there (host-init.sh).</summary>
    internal void HoldEtcd()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(EtcdHold)!);
        File.WriteAllText(EtcdHold, "");
    }

    internal void ReleaseEtcd()
    {
        if (File.Exists(EtcdHold))
        {
            File.Delete(EtcdHold);
        }
    }

    private string EtcdHold => Path.Combine(lab.DirectoryOf(member), "held", EtcdName);

    /// <summary>The agent's process, or none while it is being started again.</summary>
    public int? FindAgent() => Cgroup.Processes().Where(p => ProcessTable.NameOf(p) == AgentName).Cast<int?>().FirstOrDefault();

    public IReadOnlyList<int> FindKeepers(VmName? vm = null) => Find(KeeperName, vm);

    public IReadOnlyList<int> FindQemus(VmName? vm = null) =>
        [.. Find(QemuName, vm), .. Cgroup.Processes().Where(p => ProcessTable.NameOf(p)?.StartsWith(LoaderName, StringComparison.Ordinal) == true
            && Mentions(p, QemuBinary) && (vm is null || Mentions(p, $"/vms/{vm}/")))];

    /// <summary>The processes of that name whose command line mentions the VM's run directory.</summary>
    private List<int> Find(string name, VmName? vm) =>
        [.. Cgroup.Processes().Where(p => ProcessTable.NameOf(p) == name && (vm is null || Mentions(p, $"/vms/{vm}/")))];

    private static bool Mentions(int process, string text) =>
        ProcessTable.ArgumentsOf(process)?.Any(a => a.Contains(text, StringComparison.Ordinal)) == true;

    private int? FindInit() => Cgroup.Child(ServicesGroup).Processes()
        .Where(p => ProcessTable.InnermostId(p) == 1).Cast<int?>().FirstOrDefault();

    private bool IsUp(string log) => FindInit() is not null && LastLines(log).Contains($"{member.Name} is up", StringComparison.Ordinal);

    private static string LastLines(string file) => File.Exists(file) ? string.Join(' ', File.ReadLines(file).TakeLast(5)) : "it said nothing";
}
