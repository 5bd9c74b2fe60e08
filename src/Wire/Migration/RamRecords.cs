using System.Buffers.Binary;
using System.Text;
using static Pollux.Wire.Migration.MigrationFormat;

namespace Pollux.Wire.Migration;

/// <summary>
/// Writes a section of RAM pages as QEMU does (<c>migration/ram.c</c>), to be put between two sections of its stream. Each call writes at an offset and returns the
/// bytes written.
/// <code>
/// PART section { address|PAGE name page { address|PAGE|CONTINUE page } } 0|EOS FOOTER section
/// </code>
/// </summary>
public static class RamRecords
{
    /// <summary>Room for any of them with its page, and for the section's end.</summary>
    public const int MostBytes = 8 + 1 + byte.MaxValue + PageSize + EndBytes;

    private const int EndBytes = 8 + 1 + 4;

    public static int PutBegin(Span<byte> space, uint section)
    {
        space[0] = SectionPart;
        BinaryPrimitives.WriteUInt32BigEndian(space[1..], section);
        return 5;
    }

    /// <summary>Of the section's first page, whose content is to follow.</summary>
    public static int PutFirstPage(Span<byte> space, ulong address, string block)
    {
        BinaryPrimitives.WriteUInt64BigEndian(space, address | Page);
        var length = Encoding.UTF8.GetBytes(block, space[9..]);
        space[8] = checked((byte)length);
        return 9 + length;
    }

    /// <summary>Of a page of the same block, whose content is to follow.</summary>
    public static int PutPage(Span<byte> space, ulong address)
    {
        BinaryPrimitives.WriteUInt64BigEndian(space, address | Page | Continue);
        return 8;
    }

    public static int PutEnd(Span<byte> space, uint section)
    {
        BinaryPrimitives.WriteUInt64BigEndian(space, EndOfSection);
        space[8] = SectionFooter;
        BinaryPrimitives.WriteUInt32BigEndian(space[9..], section);
        return EndBytes;
    }

    /// <summary>Whether the eight bytes before a page's content say just this: a page of the block before, at that address.</summary>
    public static bool IsPage(ReadOnlySpan<byte> head, ulong address) => BinaryPrimitives.ReadUInt64BigEndian(head) == (address | Page | Continue);
}
