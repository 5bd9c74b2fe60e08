using System.Buffers.Binary;
using System.Numerics;
using Pollux.Wire.Migration;

namespace Pollux.Wire.Replication;

/// <summary>
/// What a Pages frame is made of, little-endian: the page's offset in its block (8) · the block's number in the list of the first copy (2) ·
/// which of the page's eight parts of 512 bytes follow, a bit each from the lowest address on (2) · these parts. No part: the page is
/// all zeros. Parts that do not follow are as they were. A record may go over from one frame to the next.
/// </summary>
public readonly record struct PageRecord(ulong Address, int Block, int Parts)
{
    public const int HeaderBytes = 12;
    public const int PageBytes = 4096;
    public const int PartBytes = 512;
    public const int PartsPerPage = PageBytes / PartBytes;
    public const int AllParts = (1 << PartsPerPage) - 1;

    /// <summary>The most that one record takes.</summary>
    public const int MaxBytes = HeaderBytes + PageBytes;

    /// <summary>Of what follows the header.</summary>
    public int ContentBytes => BitOperations.PopCount((uint)Parts) * PartBytes;

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Address);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[8..], (ushort)Block);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[10..], (ushort)Parts);
    }

    /// <summary>Throws <see cref="WireFormatException"/> for a header that is none. Whether there is such a page is the image's to know.</summary>
    public static PageRecord Read(ReadOnlySpan<byte> header)
    {
        var record = new PageRecord(
            BinaryPrimitives.ReadUInt64LittleEndian(header), BinaryPrimitives.ReadUInt16LittleEndian(header[8..]), BinaryPrimitives.ReadUInt16LittleEndian(header[10..]));
        return record.Address % PageBytes == 0 && record.Parts <= AllParts
            ? record
            : throw new WireFormatException($"a page record names the page at 0x{record.Address:x} and the parts 0x{record.Parts:x}, which there cannot be");
    }
}

/// <summary>Reads page records from input that may be split anywhere, and gives what they hold to a sink.</summary>
public sealed class PageRecordScanner
{
    private readonly byte[] _header = new byte[PageRecord.HeaderBytes];
    private PageRecord _record;
    private int _have;     // of the header
    private int _partsLeft; // of the record; the lowest one is being read
    private int _offset;   // in that part

    /// <summary>No record is begun.</summary>
    public bool AtEnd => _have == 0;

    /// <exception cref="WireFormatException">The bytes are no such records.</exception>
    public void Scan<TSink>(ReadOnlySpan<byte> bytes, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        while (!bytes.IsEmpty)
        {
            if (_have < PageRecord.HeaderBytes)
            {
                ReadHeader(ref bytes, ref sink);
            }
            else
            {
                ReadPart(ref bytes, ref sink);
            }
        }
    }

    private void ReadHeader<TSink>(ref ReadOnlySpan<byte> bytes, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        var count = Math.Min(bytes.Length, PageRecord.HeaderBytes - _have);
        bytes[..count].CopyTo(_header.AsSpan(_have));
        bytes = bytes[count..];
        _have += count;
        if (_have < PageRecord.HeaderBytes)
        {
            return;
        }
        _record = PageRecord.Read(_header);
        (_partsLeft, _offset) = (_record.Parts, 0);
        if (_partsLeft == 0)
        {
            sink.OnZeroPage(_record.Block, _record.Address);
            _have = 0;
        }
    }

    private void ReadPart<TSink>(ref ReadOnlySpan<byte> bytes, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        var piece = bytes[..Math.Min(bytes.Length, PageRecord.PartBytes - _offset)];
        sink.OnPage(_record.Block, _record.Address, (BitOperations.TrailingZeroCount(_partsLeft) * PageRecord.PartBytes) + _offset, piece);
        bytes = bytes[piece.Length..];
        _offset += piece.Length;
        if (_offset < PageRecord.PartBytes)
        {
            return;
        }
        _offset = 0;
        _partsLeft &= _partsLeft - 1;
        if (_partsLeft == 0)
        {
            _have = 0;
        }
    }
}
