using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pollux.Wire.Replication;

/// <summary>What a connection between keepers is for.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ConnectionKind>))]
public enum ConnectionKind
{
    [JsonStringEnumMemberName("data")] Data,
    [JsonStringEnumMemberName("heartbeat")] Heartbeat,

    /// <summary>Live migration: QEMU's stream, in chunks, and nothing else after the Welcome.</summary>
    [JsonStringEnumMemberName("migration")] Migration,

    /// <summary>Live migration: what the two keepers have to say to each other. Comes first.</summary>
    [JsonStringEnumMemberName("migration-control")] MigrationControl,
}

/// <summary>The primary's first words. Both sides must agree on everything that shapes the guest, or the standby refuses.</summary>
/// <param name="SpecDigest">Of the VM spec; a standby built from another spec could not load the state.</param>
/// <param name="HeartbeatMs">How often heartbeats will come.</param>
public sealed record Hello(ConnectionKind Kind, string Vm, string Host, string Incarnation, string ExpectedIncarnation, string SpecDigest, string QemuVersion, long RamBytes, int HeartbeatMs, int DetectionMs)
{
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, PayloadJson.Default.Hello);

    public static Hello Parse(ReadOnlySpan<byte> json) => PayloadJson.Read(json, PayloadJson.Default.Hello, "Hello");
}

/// <summary>The standby's answer to <see cref="Hello"/>.</summary>
/// <param name="Speaks">The newest of the <see cref="Dialect"/>s that it understands; it understands all older ones too.</param>
public sealed record Welcome(string Host, string Incarnation, int Speaks = Dialect.First)
{
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, PayloadJson.Default.Welcome);

    public static Welcome Parse(ReadOnlySpan<byte> json) => PayloadJson.Read(json, PayloadJson.Default.Welcome, "Welcome");
}

/// <summary>The end of a live migration on the source: its guest is stopped and stays so, unless the source wins a swap of the role.</summary>
/// <param name="Role">The role, JSON.</param>
/// <param name="Revision">The store's revision of it: the only one that the destination may swap.</param>
/// <param name="ElapsedMs">Since the migration began.</param>
/// <param name="StoppedMs">For how long the guest has been stopped.</param>
public sealed record HandOver(string Role, long Revision, string Policy, double ElapsedMs, double StoppedMs, double PredictedPauseMs, long Iterations, long SentBytes)
{
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, PayloadJson.Default.HandOver);

    public static HandOver Parse(ReadOnlySpan<byte> json) => PayloadJson.Read(json, PayloadJson.Default.HandOver, "HandOver");
}

/// <summary>
/// What a primary may send beyond the frames of the first keepers. The header's version stays the same, so that a new primary can speak
/// with an old standby, and an old one with a new.
/// </summary>
public static class Dialect
{
    public const int First = 1;

    /// <summary>Understands <see cref="FrameType.Scrub"/>.</summary>
    public const int Scrub = 2;

    /// <summary>Understands <see cref="FrameType.Pages"/>.</summary>
    public const int Pages = 3;

    /// <summary>Understands <see cref="FrameType.Egress"/>.</summary>
    public const int Egress = 4;

    /// <summary>
    /// Understands <see cref="FrameHeader.IsCompressed"/> of Ram, Pages and DeviceState frames, and sends an <see cref="Arrival"/>. Only where the
    /// library for it is; without it a keeper speaks the dialect before.
    /// </summary>
    public const int Compression = 5;

    public const int Newest = Compression;
}

/// <summary>Closes an epoch: what the standby must have received, of Ram or Pages frames and of device state. 16 bytes, little-endian.</summary>
public readonly record struct EpochEnd(long RamBytes, long DeviceBytes)
{
    public const int Bytes = 16;

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteInt64LittleEndian(destination, RamBytes);
        BinaryPrimitives.WriteInt64LittleEndian(destination[8..], DeviceBytes);
    }

    public static EpochEnd Read(ReadOnlySpan<byte> bytes) => bytes.Length == Bytes
        ? new EpochEnd(BinaryPrimitives.ReadInt64LittleEndian(bytes), BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]))
        : throw new WireFormatException($"an EpochEnd frame has {bytes.Length} bytes where {Bytes} are expected");
}

/// <summary>A sequence of Ethernet frames: NIC (1 byte) · length (2 bytes, little-endian) · frame, repeated.</summary>
public static class FrameBatch
{
    public const int EntryHeaderBytes = 3;

    /// <summary>Appends one frame; false when there is no room.</summary>
    public static bool TryAppend(Span<byte> batch, ref int used, int nic, ReadOnlySpan<byte> frame)
    {
        if (used + EntryHeaderBytes + frame.Length > batch.Length || frame.Length > ushort.MaxValue)
        {
            return false;
        }
        batch[used] = (byte)nic;
        BinaryPrimitives.WriteUInt16LittleEndian(batch[(used + 1)..], (ushort)frame.Length);
        frame.CopyTo(batch[(used + EntryHeaderBytes)..]);
        used += EntryHeaderBytes + frame.Length;
        return true;
    }

    /// <summary>Throws <see cref="WireFormatException"/> when the batch is cut short: whoever uses it later need not expect that.</summary>
    public static byte[] Checked(byte[] batch)
    {
        for (ReadOnlySpan<byte> rest = batch; TryTake(ref rest, out _, out _);)
        {
        }
        return batch;
    }

    /// <summary>Takes the next frame off the front; false at the end. Throws <see cref="WireFormatException"/> when the batch is cut short.</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> batch, out int nic, out ReadOnlySpan<byte> frame)
    {
        nic = 0;
        frame = default;
        if (batch.IsEmpty)
        {
            return false;
        }
        if (batch.Length < EntryHeaderBytes)
        {
            throw new WireFormatException($"a batch of frames ends with {batch.Length} bytes where an entry of at least {EntryHeaderBytes} is expected");
        }
        nic = batch[0];
        var length = BinaryPrimitives.ReadUInt16LittleEndian(batch[1..]);
        if (batch.Length - EntryHeaderBytes < length)
        {
            throw new WireFormatException($"a batch of frames promises a frame of {length} bytes and holds {batch.Length - EntryHeaderBytes}");
        }
        frame = batch.Slice(EntryHeaderBytes, length);
        batch = batch[(EntryHeaderBytes + length)..];
        return true;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(Hello))]
[JsonSerializable(typeof(Welcome))]
[JsonSerializable(typeof(HandOver))]
internal sealed partial class PayloadJson : JsonSerializerContext
{
    internal static T Read<T>(ReadOnlySpan<byte> json, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string what)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw new JsonException("it is null");
        }
        catch (JsonException e)
        {
            throw new WireFormatException($"a {what} frame holds no such JSON: {e.Message}");
        }
    }
}
