using System.Text.Json.Serialization;
using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Cluster.Store;

/// <summary>What a host says of itself while its lease lives.</summary>
/// <param name="Address">Where its agent and keepers listen: an IP address of the cluster's network.</param>
/// <param name="MemoryBytes">Memory it offers to VMs.</param>
public sealed record HostRecord(HostId Host, string BootId, string Address, int ApiPort, long LeaseId, long MemoryBytes, string QemuVersion, string Accelerator)
{
    /// <summary>The agent has just begun and tries whether KVM works.</summary>
    public const string AcceleratorUnknown = "unknown";
}

/// <summary>What the user wants of a VM.</summary>
/// <param name="SpecYaml">The spec as it was defined.</param>
/// <param name="Home">Where it starts when it has no role yet.</param>
/// <param name="Run">It shall run.</param>
/// <param name="Protect">It shall have a standby.</param>
/// <param name="PreferredStandby">Where the user asked the standby to be, if anywhere.</param>
/// <param name="RunSince">The role's term when the user last wanted it to run: a guest that shut itself down later stays off.</param>
/// <param name="Settings">What the user changed of its protection while it runs, for keepers that begin later.</param>
public sealed record VmRecord(VmName Vm, string SpecYaml, HostId Home, bool Run, bool Protect, HostId? PreferredStandby, long RunSince = 0, ProtectionSettings? Settings = null);

/// <summary>The wish of the primary's agent for a standby. A new attempt has a new number.</summary>
public sealed record StandbyAssignment(HostId Host, long Attempt);

/// <summary>What a standby's keeper (or its agent, when the keeper could not start) says of itself.</summary>
/// <param name="State">preparing, ready, failed.</param>
/// <param name="Why">The reason of a failure, in one sentence.</param>
public sealed record StandbyEndpoint(HostId Host, Incarnation Incarnation, long Attempt, string Address, int Port, StandbyState State, string? Why);

[JsonConverter(typeof(JsonStringEnumConverter<StandbyState>))]
public enum StandbyState
{
    [JsonStringEnumMemberName("preparing")] Preparing,
    [JsonStringEnumMemberName("ready")] Ready,
    [JsonStringEnumMemberName("failed")] Failed,
}

/// <summary>JSON of everything in the store but the role, camelCase. Every member must be there; what is null is written so.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(HostRecord))]
[JsonSerializable(typeof(VmRecord))]
[JsonSerializable(typeof(StandbyAssignment))]
[JsonSerializable(typeof(StandbyEndpoint))]
public sealed partial class StoreJson : JsonSerializerContext;
