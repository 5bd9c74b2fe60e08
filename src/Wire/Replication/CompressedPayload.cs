using System.Buffers.Binary;

namespace Pollux.Wire.Replication;

/// <summary>
/// A payload that is compressed (<see cref="FrameHeader.IsCompressed"/>): the length of its content (4 bytes, little-endian), and one LZ4 block. The
/// header's length and checksum are of these bytes, as they are on the wire.
/// </summary>
public static class CompressedPayload
{
    public const int HeaderBytes = 4;

    public static void WriteHeader(Span<byte> destination, int contentBytes) => BinaryPrimitives.WriteInt32LittleEndian(destination, contentBytes);

    /// <summary>The content's length, as it is said: 1 to <see cref="FrameHeader.MaxPayloadBytes"/>.</summary>
    public static int ReadLength(ReadOnlySpan<byte> payload)
    {
        if (payload.Length <= HeaderBytes)
        {
            throw new WireFormatException($"a compressed payload has {payload.Length} bytes, its header alone {HeaderBytes}");
        }
        var length = BinaryPrimitives.ReadInt32LittleEndian(payload);
        return length is > 0 and <= FrameHeader.MaxPayloadBytes
            ? length
            : throw new WireFormatException($"a compressed payload claims a content of {length} bytes, the limit is {FrameHeader.MaxPayloadBytes}");
    }

    /// <summary>Throws when decompression gave something else.</summary>
    /// <param name="found">Negative: the block is none.</param>
    public static void CheckLength(int said, int found)
    {
        if (found != said)
        {
            throw new WireFormatException(found < 0
                ? $"a compressed payload of {said} bytes cannot be decompressed"
                : $"a compressed payload claims a content of {said} bytes and has {found}");
        }
    }
}

/// <summary>
/// What an Acknowledge frame carries since <see cref="Dialect.Compression"/>, 16 bytes, little-endian: of the epoch's frames whose header comes before
/// the payload in a write of its own, the payloads' bytes (8), and the nanoseconds from their headers to their ends (8). It tells the primary how
/// fast the link is. Empty: not measured.
/// </summary>
public readonly record struct Arrival(long Bytes, long Nanoseconds)
{
    private const int WireBytes = 16;

    public byte[] ToBytes()
    {
        if (Bytes == 0)
        {
            return [];
        }
        var bytes = new byte[WireBytes];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, Bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), Nanoseconds);
        return bytes;
    }

    public static Arrival Read(ReadOnlySpan<byte> payload)
    {
        if (payload.IsEmpty)
        {
            return default;
        }
        if (payload.Length != WireBytes)
        {
            throw new WireFormatException($"an Acknowledge frame has {payload.Length} bytes where none or {WireBytes} are expected");
        }
        var arrival = new Arrival(BinaryPrimitives.ReadInt64LittleEndian(payload), BinaryPrimitives.ReadInt64LittleEndian(payload[8..]));
        return arrival is { Bytes: >= 0, Nanoseconds: >= 0 }
            ? arrival
            : throw new WireFormatException($"an Acknowledge frame tells of {arrival.Bytes} bytes in {arrival.Nanoseconds} ns");
    }
}
