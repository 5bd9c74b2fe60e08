using System.Buffers.Binary;
using System.Text;

namespace Pollux.Simulation.Shipping;

/// <summary>Writes RAM sections as QEMU does (migration/ram.c), for those who need a stream of their own making.</summary>
internal sealed class RamStreamText
{
    private readonly List<byte> _bytes = [];
    private string? _block;

    public byte[] ToArray() => [.. _bytes];

    /// <summary>Header, configuration, and the list of blocks.</summary>
    public RamStreamText Begin(params (string Name, ulong Length)[] blocks)
    {
        UInt32(0x5145564d).UInt32(3).Byte(7).UInt32(4).Text("test");
        Byte(1).UInt32(2).Name("ram").UInt32(0).UInt32(4);
        UInt64((ulong)blocks.Sum(b => (decimal)b.Length) | 4);
        foreach (var (name, length) in blocks)
        {
            Name(name).UInt64(length);
        }
        return EndSection();
    }

    public RamStreamText Section(byte type) => Byte(type).UInt32(2);

    public RamStreamText EndSection() => UInt64(0x10).Byte(0x7e).UInt32(2);

    /// <summary>A page, or a zero page when there is no content.</summary>
    public RamStreamText Page(string block, ulong address, ReadOnlySpan<byte> content = default)
    {
        var again = block == _block ? 0x20u : 0;
        UInt64(address | (content.IsEmpty ? 2u : 8u) | again);
        if (again == 0)
        {
            Name(block);
            _block = block;
        }
        if (content.IsEmpty)
        {
            return Byte(0);
        }
        _bytes.AddRange(content);
        return this;
    }

    /// <summary>The end of a checkpoint's RAM.</summary>
    public RamStreamText End() => Byte(0);

    /// <summary>What was written, and from here on anew; QEMU remembers the current block across checkpoints.</summary>
    public byte[] Cut()
    {
        var bytes = ToArray();
        _bytes.Clear();
        return bytes;
    }

    private RamStreamText Byte(byte value)
    {
        _bytes.Add(value);
        return this;
    }

    private RamStreamText Name(string name) => Byte((byte)name.Length).Text(name);

    private RamStreamText Text(string text)
    {
        _bytes.AddRange(Encoding.UTF8.GetBytes(text));
        return this;
    }

    private RamStreamText UInt32(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        _bytes.AddRange(bytes);
        return this;
    }

    private RamStreamText UInt64(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        _bytes.AddRange(bytes);
        return this;
    }
}
