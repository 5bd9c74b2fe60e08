using System.Buffers.Binary;

namespace Pollux.Wire.Replication;

/// <summary>
/// Hashes of some pages of the guest's RAM as they are at an epoch's cut, little-endian: the seed of the hash (16 bytes), then for each page
/// its offset in the RAM (8) and its <see cref="KeyedHash"/> (16).
/// </summary>
public static class ScrubSample
{
    public const int PageBytes = 4096;
    public const int EntryBytes = 8 + 16;

    /// <summary>A cut's pause has room for some tens.</summary>
    public const int MaxPages = 1024;

    /// <summary>The payload for so many pages, with the seed in place.</summary>
    public static byte[] Create(ReadOnlySpan<byte> seed, int pages)
    {
        var payload = new byte[KeyedHash.SeedBytes + (pages * EntryBytes)];
        seed.CopyTo(payload);
        return payload;
    }

    public static void Set(Span<byte> payload, int index, long address, UInt128 hash)
    {
        var entry = payload[(KeyedHash.SeedBytes + (index * EntryBytes))..];
        BinaryPrimitives.WriteInt64LittleEndian(entry, address);
        BinaryPrimitives.WriteUInt128LittleEndian(entry[8..], hash);
    }

    /// <summary>How many pages it names. Throws <see cref="WireFormatException"/> for bytes that are no sample.</summary>
    public static int Count(ReadOnlySpan<byte> payload)
    {
        var (pages, rest) = Math.DivRem(payload.Length - KeyedHash.SeedBytes, EntryBytes);
        return payload.Length >= KeyedHash.SeedBytes && rest == 0 && pages <= MaxPages
            ? pages
            : throw new WireFormatException($"a Scrub frame has {payload.Length} bytes, which is not {KeyedHash.SeedBytes} and {EntryBytes} for each of at most {MaxPages} pages");
    }

    public static ReadOnlySpan<byte> Seed(ReadOnlySpan<byte> payload) => payload[..KeyedHash.SeedBytes];

    /// <summary>Throws <see cref="WireFormatException"/> for an address at which no page begins.</summary>
    public static (long Address, UInt128 Hash) Get(ReadOnlySpan<byte> payload, int index)
    {
        var entry = payload[(KeyedHash.SeedBytes + (index * EntryBytes))..];
        var address = BinaryPrimitives.ReadInt64LittleEndian(entry);
        return address >= 0 && address % PageBytes == 0
            ? (address, BinaryPrimitives.ReadUInt128LittleEndian(entry[8..]))
            : throw new WireFormatException($"a Scrub frame names a page at 0x{address:x}, where none begins");
    }
}
