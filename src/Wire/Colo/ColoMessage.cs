using System.Buffers.Binary;

namespace Pollux.Wire.Colo;

/// <summary>
/// What the two sides of QEMU's COLO say between checkpoints, each a big-endian 32-bit number
/// (<c>COLOMessage</c> in QEMU's <c>qapi/migration.json</c>; sent by <c>migration/colo.c</c>).
/// One checkpoint, P the primary QEMU and S its peer:
/// <code>
/// P → S  CheckpointRequest
/// S → P  CheckpointReply          P stops its guest
/// P → S  VmstateSend, RAM sections, EOF
/// P → S  VmstateSize, be64 length, device state
/// S → P  VmstateReceived
/// S → P  VmstateLoaded            P resumes its guest
/// </code>
/// </summary>
public enum ColoMessage : uint
{
    /// <summary>S → P, once, at the end of the initial stream: P starts its guest.</summary>
    CheckpointReady = 0,
    CheckpointRequest = 1,
    CheckpointReply = 2,
    VmstateSend = 3,

    /// <summary>Followed by a be64: the length of the device state that comes next.</summary>
    VmstateSize = 4,
    VmstateReceived = 5,
    VmstateLoaded = 6,
}

/// <summary>Reads and writes <see cref="ColoMessage"/>s.</summary>
public static class ColoCodec
{
    /// <summary>Bytes of one message.</summary>
    public const int MessageLength = 4;

    /// <summary>Bytes of the length that follows <see cref="ColoMessage.VmstateSize"/>.</summary>
    public const int SizeLength = 8;

    public static void Write(Span<byte> destination, ColoMessage message) =>
        BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)message);

    /// <summary>The message in the first four bytes; throws <see cref="WireFormatException"/> for a number that is none.</summary>
    /// <param name="offset">Where the bytes are in their stream, for the error.</param>
    public static ColoMessage Read(ReadOnlySpan<byte> source, long offset)
    {
        var number = BinaryPrimitives.ReadUInt32BigEndian(source);
        return number <= (uint)ColoMessage.VmstateLoaded
            ? (ColoMessage)number
            : throw new WireFormatException("COLO stream", offset, "a message number from 0 to 6", $"{number}");
    }

    /// <summary>Reads a message that must be <paramref name="expected"/>.</summary>
    public static void Expect(ReadOnlySpan<byte> source, ColoMessage expected, long offset)
    {
        var message = Read(source, offset);
        if (message != expected)
        {
            throw new WireFormatException("COLO stream", offset, $"{expected}", $"{message}");
        }
    }

    /// <summary>The length of the device state in the eight bytes after <see cref="ColoMessage.VmstateSize"/>.</summary>
    /// <param name="max">More than this is refused: the length is the other side's word.</param>
    public static int ReadSize(ReadOnlySpan<byte> source, int max, long offset)
    {
        var size = BinaryPrimitives.ReadUInt64BigEndian(source);
        return size <= (ulong)max
            ? (int)size
            : throw new WireFormatException("COLO stream", offset, $"device state of at most {max} bytes", $"a length of {size}");
    }
}
