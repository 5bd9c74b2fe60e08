using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;

namespace Pollux.Cluster.Events;

/// <summary>How much an event is a person's business.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<EventWeight>))]
public enum EventWeight
{
    /// <summary>As wished, or as it should be.</summary>
    [JsonStringEnumMemberName("info")] Info,

    /// <summary>Something was lost or waits; the cluster deals with it.</summary>
    [JsonStringEnumMemberName("warning")] Warning,

    /// <summary>A guest suffers, or a promise could not be kept.</summary>
    [JsonStringEnumMemberName("alarm")] Alarm,
}

/// <summary>Something that happened, and why, for people who look later.</summary>
/// <param name="Time">By the clock of the host that tells it.</param>
/// <param name="Host">Who tells it.</param>
/// <param name="Vm">Whom it is about; null: the host or the cluster.</param>
/// <param name="Kind">One word of <see cref="EventKinds"/>, for programs.</param>
/// <param name="Text">One sentence, for people.</param>
/// <param name="Figures">Numbers in it, by name with unit (<c>detectMs</c>).</param>
public sealed record ClusterEvent(
    DateTimeOffset Time, HostId Host, VmName? Vm, string Kind, EventWeight Weight, string Text, IReadOnlyDictionary<string, double>? Figures = null)
{
    /// <summary>As a line of the log, without its end.</summary>
    public byte[] ToLine() => JsonSerializer.SerializeToUtf8Bytes(this, EventJson.Default.ClusterEvent);

    /// <summary>Null for a line that is none, such as one that was cut off by a power failure.</summary>
    public static ClusterEvent? TryRead(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, EventJson.Default.ClusterEvent);
        }
        catch (Exception e) when (e is JsonException or PolluxException)
        {
            return null;
        }
    }
}

/// <summary>What a part of the program has to tell; the log adds who and when.</summary>
public sealed record EventDraft(string Kind, EventWeight Weight, string Text, IReadOnlyDictionary<string, double>? Figures = null);

/// <summary>Events of several hosts, oldest first.</summary>
/// <param name="Silent">Hosts whose events are missing here, and why.</param>
/// <param name="IsCut">There were more than asked for; the newest are here.</param>
public sealed record EventsDocument(IReadOnlyList<ClusterEvent> Events, IReadOnlyList<SilentHost> Silent, bool IsCut);

public sealed record SilentHost(HostId Host, string Why);

/// <summary>JSON of events, camelCase.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectRequiredConstructorParameters = false)]
[JsonSerializable(typeof(ClusterEvent))]
[JsonSerializable(typeof(EventsDocument))]
public sealed partial class EventJson : JsonSerializerContext;
