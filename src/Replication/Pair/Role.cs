using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <summary>One side of a pair: a host and the life of its keeper.</summary>
public sealed record Member(HostId Host, Incarnation Incarnation)
{
    public override string ToString() => $"{Host}/{Incarnation}";
}

/// <summary>What the role key says of a VM.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RoleState>))]
public enum RoleState
{
    /// <summary>No copy runs. The primary names the host that has the VM's truth.</summary>
    [JsonStringEnumMemberName("stopped")] Stopped,

    /// <summary>The primary runs alone: never protected, or its standby was lost ("solo"), or it has taken over.</summary>
    [JsonStringEnumMemberName("running")] Running,

    /// <summary>The primary runs and the standby holds a commit; output waits for commits.</summary>
    [JsonStringEnumMemberName("protected")] Protected,

    /// <summary>The standby won the takeover and loads; the old primary must hold until this turns to running or back.</summary>
    [JsonStringEnumMemberName("taking")] Taking,
}

/// <summary>
/// The one key that says who runs a VM (rule 1 of the pair). Nobody goes on alone without winning a compare-and-swap of it.
/// While <see cref="State"/> is <c>taking</c>, <see cref="Primary"/> is still the old one and <see cref="Standby"/> the taker.
/// </summary>
/// <param name="Term">Grows by one with every won swap.</param>
/// <param name="Nonce">Random per swap; an unknown outcome is decided by reading it back (rule 2).</param>
/// <param name="Reason">Why the last swap happened, for people.</param>
/// <param name="ByGuest">Stopped: the guest shut itself down, so that it stays off until it is started anew.</param>
public sealed record Role(long Term, RoleState State, Member Primary, Member? Standby, string Nonce, string Reason, bool ByGuest = false)
{
    public string ToJson() => JsonSerializer.Serialize(this, RoleJson.Default.Role);

    /// <summary>Reads a role; throws <see cref="PolluxException"/> for text that is none.</summary>
    public static Role FromJson(string json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, RoleJson.Default.Role) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new PolluxException($"the role key holds no role: {e.Message}", "restore it from a backup of etcd", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(Role))]
internal sealed partial class RoleJson : JsonSerializerContext;
