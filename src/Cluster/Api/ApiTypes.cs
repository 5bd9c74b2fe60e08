using System.Net;
using System.Text.Json.Serialization;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Probing;
using Pollux.Replication.Pair;

namespace Pollux.Cluster.Api;

/// <summary>A VM as the API shows it.</summary>
/// <param name="State">stopped, starting, failing, running, syncing, protected, holding, taking, stopping or unknown.</param>
/// <param name="Note">Why it is so, in words; empty when there is nothing to say.</param>
/// <param name="Host">Who runs it, or would.</param>
/// <param name="Keepers">Each side of it that is known, whether it answers or not.</param>
public sealed record VmDocument(
    VmName Name, string State, string Note, HostId Host, HostId? Standby, VmRecord Record, Role? Role, StandbyAssignment? Assignment, IReadOnlyList<KeeperOnHost> Keepers);

/// <summary>A host's side of a VM: its keeper's own words, or why there are none, and the agent's.</summary>
/// <param name="Error">Why the keeper or its host could not be asked.</param>
/// <param name="Note">Why its guest is not protected.</param>
/// <param name="StartFailure">Why its last keeper ended before its guest ran.</param>
/// <param name="Orphaned">No keeper speaks for its QEMU, which lives.</param>
public sealed record KeeperOnHost(HostId Host, KeeperStatus? Status, string? Error, string? Note = null, string? StartFailure = null, bool Orphaned = false);

/// <summary>Why a VM is not protected, or that it is.</summary>
/// <param name="Verdict">Ok: protected. Warning: it is, with a blemish, or is about to be. Missing: something is in the way. NotConfigured: nobody asked for it.</param>
/// <param name="NextStep">What a person can do.</param>
/// <param name="Findings">All that was looked at, in order.</param>
public sealed record ProtectionDiagnosis(VmName Vm, Verdict Verdict, string Sentence, string? NextStep, IReadOnlyList<Finding> Findings);

/// <param name="SpecYaml">A spec with absolute paths.</param>
/// <param name="On">Its home; the asked host when null.</param>
/// <param name="Standby">Where its standby shall be, if the user cares.</param>
public sealed record DefineRequest(string SpecYaml, HostId? On = null, HostId? Standby = null);

public sealed record StopRequest(bool Force = false);

public sealed record ProtectRequest(HostId? On = null);

/// <summary>Where a VM shall move, and how.</summary>
public sealed record MigrateRequest(HostId To, MigrationSettings? Settings = null);

/// <summary>To the destination's agent: a VM is about to move there.</summary>
public sealed record DestinationRequest(string? SpecYaml, ProtectionSettings? Settings = null);

public sealed record ReadinessRequest(string? SpecYaml);

public sealed record ApiError(ApiErrorDetail Error);

/// <summary>HTTP statuses that mean one thing in this API.</summary>
public static class ApiStatus
{
    /// <summary>No keeper of that VM lives on that host.</summary>
    public const HttpStatusCode KeeperAbsent = HttpStatusCode.Gone;

    /// <summary>The keeper or another host gave no answer in time.</summary>
    public const HttpStatusCode OutcomeUnknown = HttpStatusCode.GatewayTimeout;
}

/// <summary>What went wrong, in one sentence, and what to do.</summary>
public sealed record ApiErrorDetail(string Problem, string? NextStep);

/// <summary>JSON of the agent's API, camelCase.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UseStringEnumConverter = true)]
[JsonSerializable(typeof(VmDocument))]
[JsonSerializable(typeof(IReadOnlyList<VmDocument>))]
[JsonSerializable(typeof(IReadOnlyList<HostRecord>))]
[JsonSerializable(typeof(ProtectionDiagnosis))]
[JsonSerializable(typeof(IReadOnlyList<ProtectionDiagnosis>))]
[JsonSerializable(typeof(DefineRequest))]
[JsonSerializable(typeof(KeeperOnHost))]
[JsonSerializable(typeof(ReadinessRequest))]
[JsonSerializable(typeof(StopRequest))]
[JsonSerializable(typeof(ProtectRequest))]
[JsonSerializable(typeof(MigrateRequest))]
[JsonSerializable(typeof(DestinationRequest))]
[JsonSerializable(typeof(StandbyTarget))]
[JsonSerializable(typeof(ProtectionSettings))]
[JsonSerializable(typeof(KeeperRequest))]
[JsonSerializable(typeof(KeeperResponse))]
[JsonSerializable(typeof(KeeperStatus))]
[JsonSerializable(typeof(ApiError))]
public sealed partial class ApiJson : JsonSerializerContext;
