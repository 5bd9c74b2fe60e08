using System.Globalization;
using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;
using Pollux.Linux.Namespaces;

namespace Pollux.Lab.Network;

/// <summary>
/// The lab's wires. A namespace is the switch, with two bridges: <c>mgmt</c> (10.77.0.0/24: etcd, agents, replication) and
/// <c>lan</c> (10.78.0.0/24: guests and their clients). Each host has a port on both; inside a host the port on <c>lan</c> is a member
/// of <c>br0</c>, to which keepers attach their guests. Nothing of it is in the root namespace, and no IPv6 anywhere.
/// </summary>
internal static class LabNetwork
{
    internal const string Lan = "lan";
    internal const string Mgmt = "mgmt";
    internal const string HostBridge = "br0";
    internal const string ClientAddress = "10.78.0.250";
    private const string ClientMac = "02:78:00:00:00:fa";

    /// <summary>No spanning tree and no delay before forwarding, as on a switch port set up for a server.</summary>
    private const string BridgeOptions = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";

    internal static string LanPort(LabMember member) => $"{member.Name}-{Lan}";

    internal static string MgmtPort(LabMember member) => $"{member.Name}-{Mgmt}";

    internal static async Task BuildSwitchAsync(LabName lab, CancellationToken cancellation)
    {
        await AddNamespaceAsync(lab.SwitchNamespace, cancellation).ConfigureAwait(false);
        await Tool.IpAsync(lab.SwitchNamespace, $"""
            link set lo up
            link add {Lan} {BridgeOptions}
            link add {Mgmt} {BridgeOptions}
            link set {Lan} up
            link set {Mgmt} up
            """, cancellation).ConfigureAwait(false);
        await BuildClientAsync(lab, cancellation).ConfigureAwait(false);
    }

    /// <summary>A namespace for the member, and its two cables. Call <see cref="RemoveAsync"/> first when it had some.</summary>
    internal static async Task ConnectAsync(LabName lab, LabMember member, CancellationToken cancellation)
    {
        var own = lab.NamespaceOf(member);
        await AddNamespaceAsync(own, cancellation).ConfigureAwait(false);
        await Tool.IpAsync(lab.SwitchNamespace, $"""
            link add {LanPort(member)} type veth peer name {Lan} address {member.LanMac} netns {own}
            link add {MgmtPort(member)} type veth peer name {Mgmt} address {member.MgmtMac} netns {own}
            link set {LanPort(member)} master {Lan} up
            link set {MgmtPort(member)} master {Mgmt} up
            """, cancellation).ConfigureAwait(false);
        await Tool.IpAsync(own, $"""
            link set lo up
            link add {HostBridge} address {member.LanMac} {BridgeOptions}
            link set {Lan} master {HostBridge} up
            link set {HostBridge} up
            address add {member.Address}/24 dev {Mgmt}
            link set {Mgmt} up
            """, cancellation).ConfigureAwait(false);
    }

    /// <summary>Whether the switch's ports of a member that has been started are up. Power-off takes them down before it kills.</summary>
    internal static bool IsConnected(LabName lab, LabMember member)
    {
        using var ports = InterfacePower.Of(lab.SwitchNamespace);
        return ports.IsUp(MgmtPort(member));
    }

    /// <summary>
    /// Removes a dead host's cables and namespace. The cables by name: processes elsewhere may hold the namespace alive, and a
    /// connection of the dead host must not speak again when the host is powered on.
    /// </summary>
    internal static async Task RemoveAsync(LabName lab, LabMember member, CancellationToken cancellation)
    {
        foreach (var port in new[] { LanPort(member), MgmtPort(member) })
        {
            // It is gone already when the namespace was.
            await Tool.RunAsync("ip", ["-n", lab.SwitchNamespace, "link", "del", port], cancellation: cancellation).ConfigureAwait(false);
        }
        if (NetworkNamespace.Exists(lab.NamespaceOf(member)))
        {
            await Tool.IpAsync(null, $"netns del {lab.NamespaceOf(member)}", cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>The lab's namespaces that exist now, whoever made them.</summary>
    internal static IReadOnlyList<string> FindNamespaces(LabName lab) => Directory.Exists(NetworkNamespace.Directory)
        ? [.. Directory.GetFiles(NetworkNamespace.Directory, lab.NamespacePrefix + "*").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)]
        : [];

    private static async Task BuildClientAsync(LabName lab, CancellationToken cancellation)
    {
        await AddNamespaceAsync(lab.ClientNamespace, cancellation).ConfigureAwait(false);
        await Tool.IpAsync(lab.SwitchNamespace, $"""
            link add client-{Lan} type veth peer name {Lan} address {ClientMac} netns {lab.ClientNamespace}
            link set client-{Lan} master {Lan} up
            """, cancellation).ConfigureAwait(false);
        await Tool.IpAsync(lab.ClientNamespace, string.Create(CultureInfo.InvariantCulture, $"""
            link set lo up
            address add {ClientAddress}/24 dev {Lan}
            link set {Lan} up
            """), cancellation).ConfigureAwait(false);
    }

    private static async Task AddNamespaceAsync(string name, CancellationToken cancellation)
    {
        await Tool.IpAsync(null, $"netns add {name}", cancellation).ConfigureAwait(false);
        NetworkNamespace.Inside(name, () =>
        {
            // Before any link exists, so that none ever says a word of IPv6. A kernel without IPv6 has no such file.
            foreach (var which in new[] { "all", "default" })
            {
                var file = $"/proc/sys/net/ipv6/conf/{which}/disable_ipv6";
                if (File.Exists(file))
                {
                    File.WriteAllText(file, "1");
                }
            }
            return true;
        });
    }
}
