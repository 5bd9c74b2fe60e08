using Pollux.Agent.Reconciling;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Metrics;

/// <summary>All that a page of metrics tells.</summary>
/// <param name="Alive">Every host that this agent has known, and whether it is alive as the store said last.</param>
/// <param name="Vms">Every VM of the cluster, as the store said last.</param>
/// <param name="Keepers">Of this host: what each living keeper says of itself, null for one that does not answer.</param>
/// <param name="Takeovers">How many takeovers this host has won of each VM since its agent began.</param>
internal sealed record MetricsFacts(
    HostId Host, string Version, bool LeaseAlive, bool EtcdMajority, IReadOnlyList<EtcdMemberView> Etcd,
    IReadOnlyDictionary<HostId, bool> Alive, IReadOnlyList<VmView> Vms, IReadOnlyDictionary<VmName, KeeperStatus?> Keepers,
    IReadOnlyDictionary<VmName, long> Takeovers);
