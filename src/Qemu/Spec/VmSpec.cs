using Pollux.Core;

namespace Pollux.Qemu.Spec;

/// <summary>How much a VM is protected.</summary>
public enum Availability
{
    /// <summary>It runs where it is started.</summary>
    None,

    /// <summary>It can have a hot standby.</summary>
    FaultTolerant,
}

/// <summary>What executes the guest's instructions.</summary>
public enum Accelerator
{
    /// <summary>KVM if a trial shows that it works, else TCG with a warning.</summary>
    Auto,
    Kvm,

    /// <summary>QEMU's emulation: slow, for tests and demonstrations.</summary>
    Tcg,
}

/// <summary>A NIC of the guest.</summary>
/// <param name="Bridge">The host's bridge, of the same name on every host.</param>
/// <param name="Mac">Six bytes, as <c>52:54:00:…</c>.</param>
/// <param name="Model">QEMU's device: virtio-net-pci or e1000e.</param>
public sealed record NicSpec(string Bridge, string Mac, string Model);

/// <summary>The settings of protection. Times in milliseconds. The names of trigger and transmission are those of the spec.</summary>
/// <param name="Trigger">periodic, on-output or adaptive.</param>
/// <param name="Transmission">postponed or synchronous.</param>
/// <param name="IntervalMs">The longest run of the guest between two checkpoints.</param>
/// <param name="FloorMs">adaptive: its least run.</param>
/// <param name="DirtyPagesEarly">adaptive: cut early at about this many dirty pages.</param>
/// <param name="DetectionMs">Watched silence after which the other side counts as dead.</param>
/// <param name="BufferMaxBytes">The ceiling of the primary's buffers; null: a quarter of the RAM, at least 64 MiB.</param>
/// <param name="ScrubSeconds">In which every page of the standby is compared with the primary's once, if cuts are frequent enough; 0: never.</param>
/// <param name="Shipping">changes or pages: whether parts of dirty pages that the standby has are left out.</param>
/// <param name="Compression">auto, always or never: whether what goes over the link is compressed.</param>
public sealed record FaultToleranceSpec(
    string Trigger = "adaptive",
    string Transmission = "postponed",
    int IntervalMs = 100,
    int FloorMs = 2,
    int DirtyPagesEarly = 4000,
    int DetectionMs = 150,
    int HeartbeatMs = 20,
    long? BufferMaxBytes = null,
    int ScrubSeconds = 600,
    string Shipping = "changes",
    string Compression = "auto");

/// <summary>A VM as its user describes it, checked.</summary>
/// <param name="MemoryBytes">A multiple of 1 MiB.</param>
/// <param name="Machine">q35 or pc, or a versioned type of them; see <see cref="Process.MachineType"/>.</param>
/// <param name="Cpu">QEMU's name of a CPU model, the same on both hosts.</param>
public sealed record VmSpec(
    VmName Name,
    int Cpus,
    long MemoryBytes,
    string Machine,
    string Cpu,
    Accelerator Accelerator,
    string Kernel,
    string? Initrd,
    string CommandLine,
    IReadOnlyList<NicSpec> Nics,
    Availability Availability,
    FaultToleranceSpec FaultTolerance);
