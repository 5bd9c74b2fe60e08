using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Diagnosis;

/// <summary>What is wrong, and what to do about it.</summary>
internal sealed record Obstacle(string Problem, string? NextStep)
{
    public static Obstacle Of(PolluxException e) => new(e.Problem, e.NextStep);
}

/// <summary>All that is looked at to say why a VM is not protected.</summary>
/// <param name="Spec">What its spec says, or why it cannot be read.</param>
/// <param name="HasMajority">Etcd answers the agent that looks; if not, <paramref name="Vm"/> and <paramref name="Alive"/> are as it saw them last.</param>
/// <param name="Etcd">Its members, a member without a version being silent.</param>
/// <param name="Sides">What the hosts say that have, or shall have, a part of it.</param>
/// <param name="Unprotectable">Why its QEMU could not be checkpointed; null when it can, or was not asked.</param>
/// <param name="Readiness">Of each other host that is alive and has no part of it yet: what it lacks; null: nothing.</param>
internal sealed record ProtectionFacts(
    VmView Vm, SpecFacts Spec, HostId Me, bool HasMajority, IReadOnlyList<EtcdMemberView> Etcd, IReadOnlyDictionary<HostId, HostRecord> Alive,
    IReadOnlyList<KeeperOnHost> Sides, Obstacle? Unprotectable, IReadOnlyDictionary<HostId, Obstacle?> Readiness)
{
    /// <summary>Who runs it, or would.</summary>
    public HostId Primary => Vm.Role?.Primary.Host ?? Vm.Record!.Home;

    public KeeperOnHost? SideOn(HostId? host) => Sides.FirstOrDefault(s => s.Host == host);
}

/// <param name="FaultTolerant">It asks for a standby.</param>
/// <param name="AnyAccelerator">It leaves open whether KVM or emulation runs it.</param>
/// <param name="Problem">Why it cannot be read.</param>
internal sealed record SpecFacts(bool FaultTolerant, bool AnyAccelerator, string? Problem);
