using System.Text;
using System.Text.Json.Serialization;

namespace Pollux.Cluster.Store;

// etcd 3.4's JSON gateway (api/etcdserverpb/rpc.proto, mapped by grpc-gateway): keys and values travel as base64, 64-bit
// integers as strings, and members with default values are absent from answers (so `succeeded` is missing when false).

internal sealed record RangeRequest(byte[] Key, byte[]? RangeEnd = null, bool? Serializable = null);

internal sealed record PutRequest(byte[] Key, byte[] Value, long? Lease);

internal sealed record DeleteRangeRequest(byte[] Key);

internal sealed record Compare(byte[] Key, string Target, string Result, long? ModRevision = null, long? Version = null);

internal sealed record RequestOp(RangeRequest? RequestRange = null, PutRequest? RequestPut = null, DeleteRangeRequest? RequestDeleteRange = null);

internal sealed record TxnRequest(Compare[] Compare, RequestOp[] Success, RequestOp[] Failure);

internal sealed record LeaseGrantRequest([property: JsonPropertyName("TTL")] long Ttl, [property: JsonPropertyName("ID")] long Id);

internal sealed record LeaseRequest([property: JsonPropertyName("ID")] long Id);

internal sealed record WatchRequest(WatchCreate CreateRequest);

internal sealed record WatchCreate(byte[] Key, byte[]? RangeEnd, long StartRevision);

internal sealed record TransferLeadershipRequest([property: JsonPropertyName("targetID")] ulong TargetId);

internal sealed record EmptyRequest;

internal sealed record Header(ulong MemberId, long Revision);

internal sealed record KeyValue(byte[] Key, long ModRevision, byte[]? Value, long Lease)
{
    internal StoreEntry ToEntry() => new(Encoding.UTF8.GetString(Key), Encoding.UTF8.GetString(Value ?? []), ModRevision);
}

internal sealed record RangeAnswer(Header? Header, KeyValue[]? Kvs);

internal sealed record OpAnswer(RangeAnswer? ResponseRange);

internal sealed record TxnAnswer(Header? Header, bool Succeeded, OpAnswer[]? Responses);

internal sealed record LeaseAnswer([property: JsonPropertyName("ID")] long Id, [property: JsonPropertyName("TTL")] long Ttl);

internal sealed record KeepAliveLine(LeaseAnswer? Result, ErrorAnswer? Error);

internal sealed record WatchLine(WatchAnswer? Result, ErrorAnswer? Error);

internal sealed record WatchAnswer(Header? Header, bool Created, bool Canceled, long CompactRevision, string? CancelReason, WatchEvent[]? Events);

internal sealed record WatchEvent(string? Type, KeyValue Kv);

internal sealed record StatusAnswer(Header? Header, string? Version, ulong Leader, string[]? Errors);

internal sealed record MemberListAnswer(ListedMember[]? Members);

internal sealed record ListedMember([property: JsonPropertyName("ID")] ulong Id, string? Name, bool IsLearner);

internal sealed record ErrorAnswer(string? Message, int Code);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowReadingFromString | JsonNumberHandling.WriteAsString,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RangeRequest))]
[JsonSerializable(typeof(TxnRequest))]
[JsonSerializable(typeof(LeaseGrantRequest))]
[JsonSerializable(typeof(LeaseRequest))]
[JsonSerializable(typeof(WatchRequest))]
[JsonSerializable(typeof(TransferLeadershipRequest))]
[JsonSerializable(typeof(EmptyRequest))]
[JsonSerializable(typeof(RangeAnswer))]
[JsonSerializable(typeof(TxnAnswer))]
[JsonSerializable(typeof(LeaseAnswer))]
[JsonSerializable(typeof(KeepAliveLine))]
[JsonSerializable(typeof(WatchLine))]
[JsonSerializable(typeof(StatusAnswer))]
[JsonSerializable(typeof(MemberListAnswer))]
[JsonSerializable(typeof(ErrorAnswer))]
internal sealed partial class EtcdJson : JsonSerializerContext;

/// <summary>Keys as etcd takes them.</summary>
internal static class EtcdKey
{
    internal static byte[] Of(string key) => Encoding.UTF8.GetBytes(key);

    /// <summary>The end of the range of all keys with a prefix: its last byte plus one. UTF-8 has no 0xff, so there is always one.</summary>
    internal static byte[] EndOfPrefix(string prefix)
    {
        var end = Encoding.UTF8.GetBytes(prefix);
        end[^1]++;
        return end;
    }
}
