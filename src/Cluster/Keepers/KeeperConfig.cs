using System.Text.Json.Serialization;
using Pollux.Core;

namespace Pollux.Cluster.Keepers;

/// <summary>How a keeper begins.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<KeeperStart>))]
public enum KeeperStart
{
    /// <summary>Start the guest from its spec.</summary>
    [JsonStringEnumMemberName("primary")] Primary,

    /// <summary>Wait beside another host's primary.</summary>
    [JsonStringEnumMemberName("standby")] Standby,

    /// <summary>Wait for a guest that moves here from another host.</summary>
    [JsonStringEnumMemberName("destination")] Destination,

    /// <summary>Take charge of a QEMU whose keeper died (solo by swap), or kill it when the role names another.</summary>
    [JsonStringEnumMemberName("adopt")] Adopt,
}

/// <summary>
/// What an agent tells the keeper that it starts, as <c>keeper.json</c> in the VM's run directory
/// (<c>pollux-keeper --config …/keeper.json</c>). Paths are absolute.
/// </summary>
/// <param name="RunDirectory">The VM's own: lock, sockets, log. Its path takes at most 80 bytes.</param>
/// <param name="RamDirectory">Where the RAM file goes: a tmpfs, /dev/shm by default.</param>
/// <param name="Cgroup">An existing cgroup2 directory for QEMU alone, killable as a whole; null: none.</param>
/// <param name="Accelerator">auto, kvm or tcg, as resolved by the agent or asked for in the spec.</param>
/// <param name="ListenAddress">The IP address on which a standby listens for its primary.</param>
/// <param name="LeaseId">The lease of the own host, to which a standby's endpoint key is bound.</param>
/// <param name="Attempt">The number of the assignment that a standby answers.</param>
/// <param name="Settings">What the user has changed of the spec's protection since the VM was started.</param>
/// <param name="EventsFile">The host's events, to which it adds its own; null: none are kept.</param>
/// <param name="FaultPoints">Where tests arm <see cref="FaultPoints"/>; null, as on every real host: there are none.</param>
public sealed record KeeperConfig(
    VmName Vm,
    HostId Host,
    KeeperStart Start,
    string SpecYaml,
    string RunDirectory,
    string RamDirectory,
    string? Cgroup,
    string QemuBinary,
    string Accelerator,
    string? TcgShim,
    string ListenAddress,
    IReadOnlyList<string> EtcdEndpoints,
    TlsFiles Tls,
    long LeaseId,
    long Attempt,
    string? FaultPoints = null,
    ProtectionSettings? Settings = null,
    string? EventsFile = null);

/// <summary>PEM files: the cluster's CA, and this host's certificate and key (names the host in its subject alternative names).</summary>
public sealed record TlsFiles(string CaFile, string CertificateFile, string KeyFile);
