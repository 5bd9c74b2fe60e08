using System.Buffers.Binary;
using System.Text;

namespace Pollux.Unit.Tests.Wire;

/// <summary>Writes the bytes that a QEMU would send, field by field, so that a test can also leave one out or spoil it.</summary>
internal sealed class MigrationStreamBuilder
{
    public const int PageSize = 4096;
    private readonly List<byte> _bytes = [];

    public byte[] ToArray() => [.. _bytes];

    public int Length => _bytes.Count;

    public MigrationStreamBuilder Head(string machine = "pc-i440fx-7.2", params string[] capabilities)
    {
        Raw("QEVM"u8).U32(3).Byte(7).U32((uint)machine.Length).Raw(Encoding.UTF8.GetBytes(machine));
        if (capabilities.Length > 0)
        {
            Byte(5).Name("configuration/capabilities").U32(1).U32((uint)capabilities.Length);
            foreach (var capability in capabilities)
            {
                Name(capability);
            }
        }
        return this;
    }

    /// <summary>The RAM section's START with its list of blocks. Not ended, so that pages may follow.</summary>
    public MigrationStreamBuilder RamStart(uint section, bool withAddresses, params (string Name, ulong Length)[] blocks)
    {
        Byte(1).U32(section).Name("ram").U32(0).U32(4);
        U64(blocks.Aggregate(0ul, (sum, b) => sum + b.Length) | 0x04);
        foreach (var (name, length) in blocks)
        {
            Name(name).U64(length);
            if (withAddresses)
            {
                U64(0);
            }
        }
        return this;
    }

    public MigrationStreamBuilder RamPart(uint section) => Byte(2).U32(section);

    public MigrationStreamBuilder RamEnd(uint section) => Byte(3).U32(section);

    public MigrationStreamBuilder EndOfSection(uint section) => U64(0x10).Byte(0x7e).U32(section);

    /// <summary>A page; <paramref name="block"/> null means the block of the page before.</summary>
    public MigrationStreamBuilder Page(string? block, ulong address, ReadOnlySpan<byte> content)
    {
        U64(address | 0x08 | (block is null ? 0x20u : 0));
        return (block is null ? this : Name(block)).Raw(content);
    }

    public MigrationStreamBuilder ZeroPage(string? block, ulong address)
    {
        U64(address | 0x02 | (block is null ? 0x20u : 0));
        return (block is null ? this : Name(block)).Byte(0);
    }

    public MigrationStreamBuilder Command(ushort command, params byte[] payload) =>
        Byte(8).U16(command).U16((ushort)payload.Length).Raw(payload);

    public MigrationStreamBuilder Eof() => Byte(0);

    /// <summary>A device section as QEMU frames it: FULL, id, name, instance, version, content, footer.</summary>
    public MigrationStreamBuilder Device(uint section, string name, ReadOnlySpan<byte> content) =>
        Byte(4).U32(section).Name(name).U32(0).U32(1).Raw(content).Byte(0x7e).U32(section);

    public MigrationStreamBuilder Description(string json) => Byte(6).U32((uint)json.Length).Raw(Encoding.UTF8.GetBytes(json));

    public MigrationStreamBuilder Name(string name) => Byte((byte)name.Length).Raw(Encoding.UTF8.GetBytes(name));

    public MigrationStreamBuilder Byte(byte value) => Raw([value]);

    public MigrationStreamBuilder U16(ushort value)
    {
        Span<byte> field = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(field, value);
        return Raw(field);
    }

    public MigrationStreamBuilder U32(uint value)
    {
        Span<byte> field = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(field, value);
        return Raw(field);
    }

    public MigrationStreamBuilder U64(ulong value)
    {
        Span<byte> field = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(field, value);
        return Raw(field);
    }

    public MigrationStreamBuilder Raw(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    /// <summary>A page whose every byte depends on the seed and its place.</summary>
    public static byte[] Content(int seed)
    {
        var page = new byte[PageSize];
        new Random(seed).NextBytes(page);
        return page;
    }
}
