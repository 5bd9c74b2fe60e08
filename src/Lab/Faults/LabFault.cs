using Pollux.Core;

namespace Pollux.Lab.Faults;

/// <summary>What can be done to a lab host.</summary>
public abstract record LabFault(string Host)
{
    /// <summary>The cable ends go dead, then every process dies: nothing of the host is heard again, no FIN and no RST.</summary>
    public sealed record PowerOff(string Host) : LabFault(Host);

    /// <summary>Every process stops where it is; the kernel goes on acknowledging TCP, as under a hung userland.</summary>
    public sealed record Freeze(string Host) : LabFault(Host);

    /// <summary>The end of a freeze.</summary>
    public sealed record Thaw(string Host) : LabFault(Host);

    /// <summary>SIGKILL to the VM's QEMU on that host.</summary>
    public sealed record KillQemu(VmName Vm, string Host) : LabFault(Host);

    /// <summary>SIGKILL to the VM's keeper on that host.</summary>
    public sealed record KillKeeper(VmName Vm, string Host) : LabFault(Host);

    /// <summary>The channel breaks by which the VM's QEMU hands its checkpoints to its keeper: COLO ends by itself.</summary>
    public sealed record BreakChannel(VmName Vm, string Host) : LabFault(Host);

    /// <summary>SIGKILL to the host's agent. It is started again within a second.</summary>
    public sealed record KillAgent(string Host) : LabFault(Host);

    /// <summary>SIGKILL to the host's etcd, which is not started again, also not by a power-on, before <see cref="EtcdUp"/>.</summary>
    public sealed record EtcdDown(string Host) : LabFault(Host);

    /// <summary>The host's etcd may start again.</summary>
    public sealed record EtcdUp(string Host) : LabFault(Host);

    /// <summary>The command that does it.</summary>
    public string Name => this switch
    {
        PowerOff => "power-off",
        Freeze => "freeze",
        Thaw => "thaw",
        KillQemu => "kill-qemu",
        KillKeeper => "kill-keeper",
        BreakChannel => "break-channel",
        EtcdDown => "etcd-down",
        EtcdUp => "etcd-up",
        _ => "kill-agent",
    };
}

/// <summary>A fault that was done.</summary>
/// <param name="UnixMs">The wall clock just before it, in milliseconds with fraction.</param>
/// <param name="StopwatchTicks">The same moment on the monotonic clock of <see cref="System.Diagnostics.Stopwatch"/>, of the same machine.</param>
/// <param name="TookMs">From then until the kernel had taken the last order.</param>
public sealed record StruckFault(string Fault, string Host, double UnixMs, long StopwatchTicks, double TookMs)
{
    private const double ReadLateMs = 20;

    /// <summary>How long after <see cref="StopwatchTicks"/> a reply may still be read that had left before the fault was done.</summary>
    public TimeSpan Grace => TimeSpan.FromMilliseconds(TookMs + ReadLateMs);
}
