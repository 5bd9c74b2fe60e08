using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Pollux.Wire.Replication;

/// <summary>What a frame between two keepers carries. Numbers are never reused.</summary>
public enum FrameType : byte
{
    /// <summary>JSON: who connects, and for what (<see cref="Hello"/>). First on every connection.</summary>
    Hello = 1,

    /// <summary>JSON: accepted (<see cref="Welcome"/>).</summary>
    Welcome = 2,

    /// <summary>UTF-8: refused, and why. The connection ends.</summary>
    Refuse = 3,

    /// <summary>A piece of an epoch's RAM stream, as QEMU wrote it. Pieces of one epoch are in order.</summary>
    Ram = 10,

    /// <summary>A piece of the epoch's device state.</summary>
    DeviceState = 11,

    /// <summary>The epoch is whole (<see cref="EpochEnd"/>).</summary>
    EpochEnd = 12,

    /// <summary>Ethernet frames that reached the guest while this epoch was open (<see cref="FrameBatch"/>).</summary>
    Ingress = 13,

    /// <summary>Source addresses seen in egress: 6 bytes of MAC each, preceded by a NIC byte.</summary>
    Sources = 14,

    /// <summary>Hashes of pages as they are at the epoch's cut (<see cref="ScrubSample"/>). Between the epoch's pieces and its end.</summary>
    Scrub = 15,

    /// <summary>A piece of an epoch's changed memory as <see cref="PageRecord"/>s, in place of Ram; of an epoch after the first copy.</summary>
    Pages = 16,

    /// <summary>Ethernet frames that the guest sent in this epoch and that are held until its commit (<see cref="FrameBatch"/>). Before the epoch's end.</summary>
    Egress = 17,

    /// <summary>Standby to primary: every epoch up to this one is whole here (<see cref="Arrival"/>). Honoured for ever.</summary>
    Acknowledge = 20,

    /// <summary>Primary to standby: the role says <c>protected</c>.</summary>
    Protected = 21,

    /// <summary>Primary to standby, UTF-8 reason: this primary's guest is dead, take over.</summary>
    PrimaryDown = 22,

    /// <summary>Primary to standby: a planned takeover; this epoch is the last, the primary holds.</summary>
    TakeNow = 23,

    /// <summary>Either way, UTF-8 reason: leave in good order, keep nothing.</summary>
    Dismiss = 24,

    /// <summary>Standby to primary, UTF-8: after this epoch the image was not the primary's memory, and where. A Dismiss follows.</summary>
    ScrubAlarm = 25,

    /// <summary>Either way, on its own connection: alive. The epoch field counts.</summary>
    Heartbeat = 30,

    /// <summary>JSON, source to destination of a live migration: you may let the guest run (<see cref="HandOver"/>).</summary>
    HandOver = 40,
}

/// <summary>
/// The 32 bytes before every payload between two keepers, little-endian:
/// magic "PLX1" (4) · version (1) · type (1) · 1 if the payload is a <see cref="CompressedPayload"/>, else 0 (1) · reserved, zero (1) · payload length (4) ·
/// CRC-32C of the payload (4) · epoch (8) · CRC-32C of the 24 bytes before (4) · reserved, zero (4).
/// </summary>
/// <param name="Length">Of the payload as it is on the wire.</param>
public readonly record struct FrameHeader(FrameType Type, int Length, uint PayloadCrc, long Epoch, bool IsCompressed = false)
{
    public const int Bytes = 32;
    public const byte Version = 1;

    /// <summary>No frame is longer; a larger epoch is many frames.</summary>
    public const int MaxPayloadBytes = 1 << 20;

    private const uint Magic = 0x31584c50; // "PLX1"
    private const int CheckedBytes = 24;

    public void Write(Span<byte> destination)
    {
        destination[..Bytes].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(destination, Magic);
        destination[4] = Version;
        destination[5] = (byte)Type;
        destination[6] = IsCompressed ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], PayloadCrc);
        BinaryPrimitives.WriteInt64LittleEndian(destination[16..], Epoch);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[24..], Crc32C.Of(destination[..CheckedBytes]));
    }

    /// <summary>Reads 32 bytes; throws <see cref="WireFormatException"/> for anything that is not a header of this version.</summary>
    public static FrameHeader Read(ReadOnlySpan<byte> bytes)
    {
        var magic = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (magic != Magic)
        {
            throw new WireFormatException($"a replication frame begins with 0x{magic:x8} where 0x{Magic:x8} (PLX1) is expected");
        }
        if (bytes[4] != Version)
        {
            throw new WireFormatException($"a replication frame has version {bytes[4]}, this keeper speaks {Version}");
        }
        var crc = BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]);
        var expected = Crc32C.Of(bytes[..CheckedBytes]);
        if (crc != expected)
        {
            throw new WireFormatException($"a replication frame's header has checksum 0x{crc:x8}, its bytes give 0x{expected:x8}");
        }
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
        if (length is < 0 or > MaxPayloadBytes)
        {
            throw new WireFormatException($"a replication frame claims {length} bytes, the limit is {MaxPayloadBytes}");
        }
        if (bytes[6] > 1)
        {
            throw new WireFormatException($"a replication frame is packed in the way {bytes[6]}, this keeper knows 0 and 1");
        }
        return new FrameHeader(
            (FrameType)bytes[5], length,
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]), bytes[6] == 1);
    }

    /// <summary>Throws <see cref="WireFormatException"/> when the payload is not the one that was sent.</summary>
    public void CheckPayload(ReadOnlySpan<byte> payload) => CheckPayload(Crc32C.Of(payload));

    /// <summary>Likewise, for a checksum made piece by piece.</summary>
    public void CheckPayload(uint crc)
    {
        if (crc != PayloadCrc)
        {
            throw new WireFormatException($"the payload of a {Type} frame of epoch {Epoch} has checksum 0x{crc:x8}, its header says 0x{PayloadCrc:x8}");
        }
    }
}

/// <summary>CRC-32C (Castagnoli) by the processor's instruction, eight bytes a step.</summary>
public static class Crc32C
{
    public static uint Of(ReadOnlySpan<byte> bytes) => ~Continue(uint.MaxValue, bytes);

    /// <summary>Goes on with a checksum over further bytes. Begins with all ones; the complement of the last is the checksum.</summary>
    public static uint Continue(uint crc, ReadOnlySpan<byte> bytes)
    {
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes))
        {
            crc = System.Numerics.BitOperations.Crc32C(crc, word);
        }
        foreach (var b in bytes[(bytes.Length & ~7)..])
        {
            crc = System.Numerics.BitOperations.Crc32C(crc, b);
        }
        return crc;
    }
}
