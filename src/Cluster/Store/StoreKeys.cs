using Pollux.Core;

namespace Pollux.Cluster.Store;

/// <summary>The layout of the store. Everything lives under <c>/pollux/v1/</c>.</summary>
public static class StoreKeys
{
    public const string Root = "/pollux/v1/";
    public const string Hosts = Root + "hosts/";
    public const string Vms = Root + "vms/";

    /// <summary>The host's lease key (<see cref="HostRecord"/>), bound to a lease that its agent renews: present means alive (rule 6).</summary>
    public static string Host(HostId host) => Hosts + host;

    /// <summary>What the user wants of a VM (<see cref="VmRecord"/>).</summary>
    public static string Vm(VmName vm) => $"{Vms}{vm}/record";

    /// <summary>Who runs it (<see cref="Replication.Pair.Role"/>); written only by compare-and-swap.</summary>
    public static string Role(VmName vm) => $"{Vms}{vm}/role";

    /// <summary>Which host shall stand by (<see cref="StandbyAssignment"/>), written by the primary's agent.</summary>
    public static string Assignment(VmName vm) => $"{Vms}{vm}/assignment";

    /// <summary>Where a standby's keeper listens (<see cref="StandbyEndpoint"/>), bound to its host's lease.</summary>
    public static string Endpoint(VmName vm, HostId host) => $"{Vms}{vm}/endpoints/{host}";
}
