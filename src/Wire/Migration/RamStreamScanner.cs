using System.Buffers.Binary;
using System.Text;
using static Pollux.Wire.Migration.MigrationFormat;

namespace Pollux.Wire.Migration;

/// <summary>
/// Reads the RAM part of QEMU's migration stream, wherever the input is cut, and hands each page to a sink.
/// It copies nothing but the few bytes of a field that the input cuts in two, and allocates nothing per page.
///
/// Two kinds of stream, both ended by the scanner and not by the caller:
/// <code>
/// initial     magic version configuration { command | ram START | ram PART | ram END } │ FULL …     AtDeviceState
/// checkpoint  { command | ram PART | ram END } EOF │                                                AtEnd
/// </code>
/// Blocks are listed in the initial stream only; checkpoints refer to them by name, so one scanner reads a stream and
/// all of its checkpoints, or a new one is given the blocks. Not thread-safe. After an exception it is unusable.
/// </summary>
public sealed partial class RamStreamScanner
{
    public const int PageSize = MigrationFormat.PageSize;

    // Blocks in a real machine: about ten. The bound keeps garbage from growing the list.
    private const int MaxBlocks = 1024;

    // PING has 4 bytes; the larger commands belong to post-copy, which COLO excludes.
    private const int MaxCommandPayload = 256;

    private readonly List<RamBlock> _blocks = [];
    private readonly List<byte[]> _names = [];
    private readonly byte[] _partial = new byte[MaxCommandPayload];
    private bool _inCheckpoint;

    private State _state;
    private int _need;          // bytes of the field that _state waits for
    private int _have;          // of these, already in _partial
    private long _consumed;     // in calls before this one
    private long _fieldOffset;  // where the field that _state waits for began, counted over all bytes scanned
    private uint? _ramSection;
    private uint _sectionFlags; // flags of the record whose fields are being read
    private ulong _address;
    private int _pageOffset;
    private int _block = -1;
    private ulong _blockLength;
    private ushort _command;

    /// <param name="expectHeader">True: an initial stream. False: the sections of a checkpoint.</param>
    /// <param name="blocks">The blocks, for a scanner of checkpoints that has not seen the initial stream.</param>
    public RamStreamScanner(bool expectHeader, IReadOnlyList<RamBlock>? blocks = null)
    {
        if (expectHeader && blocks is not null)
        {
            throw new ArgumentException("an initial stream lists its blocks itself", nameof(blocks));
        }

        _inCheckpoint = !expectHeader;
        foreach (var block in blocks ?? [])
        {
            _blocks.Add(block);
            _names.Add(Encoding.UTF8.GetBytes(block.Name));
        }

        Await(expectHeader ? State.FileHeader : State.SectionType);
    }

    /// <summary>In the order of their index.</summary>
    public IReadOnlyList<RamBlock> Blocks => _blocks;

    /// <summary>The EOF byte was consumed: a checkpoint's RAM part is whole.</summary>
    public bool AtEnd => _state == State.End;

    /// <summary>Initial stream: the next byte, not consumed, begins the first device section.</summary>
    public bool AtDeviceState => _state == State.DeviceState;

    /// <summary>The number of the RAM's sections; null before the first.</summary>
    public uint? RamSection => _ramSection;

    /// <summary>Pages with content since the start or the last <see cref="BeginCheckpoint"/>.</summary>
    public long Pages { get; private set; }

    /// <summary>Pages of zeros since the start or the last <see cref="BeginCheckpoint"/>.</summary>
    public long ZeroPages { get; private set; }

    /// <summary>From the configuration section of an initial stream, such as <c>pc-q35-7.2</c>.</summary>
    public string? MachineType { get; private set; }

    /// <summary>Makes ready for the sections of the next checkpoint. The one before must be whole.</summary>
    public void BeginCheckpoint()
    {
        if (_state is not (State.End or State.DeviceState))
        {
            throw new InvalidOperationException("the stream before is not whole");
        }

        // The current block stays: QEMU says "same block as before" across checkpoints too.
        _inCheckpoint = true;
        Pages = 0;
        ZeroPages = 0;
        Await(State.SectionType);
    }

    /// <summary>
    /// Reads on. Returns the bytes consumed: all of them, or fewer when <see cref="AtEnd"/> or <see cref="AtDeviceState"/> became true.
    /// Throws <see cref="WireFormatException"/> for what is no such stream.
    /// </summary>
    public int Scan<TSink>(ReadOnlySpan<byte> bytes, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        if (_state == State.Broken)
        {
            throw new InvalidOperationException("this stream was found malformed before");
        }

        var rest = bytes;
        while (!rest.IsEmpty)
        {
            if (_state == State.RamRecord && _have == 0)
            {
                ScanPages(ref rest, ref sink);
            }

            if (_have == 0)
            {
                _fieldOffset = _consumed + bytes.Length - rest.Length;
            }

            if (_state == State.PageBody)
            {
                ScanPagePiece(ref rest, ref sink);
            }
            else if (BeginsDeviceState(rest))
            {
                Await(State.DeviceState);
            }
            else if (_state is State.End or State.DeviceState || !TryTake(ref rest, out var field))
            {
                break;
            }
            else
            {
                ReadField(field, ref sink);
            }
        }

        var count = bytes.Length - rest.Length;
        _consumed += count;
        return count;
    }

    /// <summary>The first FULL section ends what this scanner reads, and stays unread: its type byte belongs to the device state.</summary>
    private bool BeginsDeviceState(ReadOnlySpan<byte> rest) =>
        _state == State.SectionType && !_inCheckpoint && _ramSection is not null && rest is [SectionFull, ..];

    /// <summary>
    /// The common record, whole: the same block as before, page content. This loop runs while the guest stands still.
    /// Everything else is left to the states.
    /// </summary>
    private void ScanPages<TSink>(ref ReadOnlySpan<byte> rest, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        var bytes = rest;
        var block = _block;
        var blockLength = _blockLength; // 0 while there is no block: then no address passes
        long pages = 0;
        while (bytes.Length >= 8 + PageSize)
        {
            var header = BinaryPrimitives.ReadUInt64BigEndian(bytes);
            var address = header - (Page | Continue);
            if ((address & FlagMask) != 0 || address >= blockLength)
            {
                break;
            }

            sink.OnPage(block, address, 0, bytes.Slice(8, PageSize));
            bytes = bytes[(8 + PageSize)..];
            pages++;
        }

        Pages += pages;
        rest = bytes;
    }

    private void ScanPagePiece<TSink>(ref ReadOnlySpan<byte> rest, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        var piece = rest[..Math.Min(rest.Length, PageSize - _pageOffset)];
        sink.OnPage(_block, _address, _pageOffset, piece);
        _pageOffset += piece.Length;
        rest = rest[piece.Length..];
        if (_pageOffset == PageSize)
        {
            Pages++;
            Await(State.RamRecord);
        }
    }

    /// <summary>A whole field of <see cref="_need"/> bytes, from the input or put together from pieces of it.</summary>
    private bool TryTake(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> field)
    {
        if (_have == 0 && rest.Length >= _need)
        {
            field = rest[.._need];
            rest = rest[_need..];
            return true;
        }

        var piece = rest[..Math.Min(rest.Length, _need - _have)];
        piece.CopyTo(_partial.AsSpan(_have));
        _have += piece.Length;
        rest = rest[piece.Length..];
        field = _partial.AsSpan(0, _need);
        return _have == _need;
    }

    private void ReadField<TSink>(scoped ReadOnlySpan<byte> field, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        switch (_state)
        {
            case State.SectionType:
                ReadSectionType(field[0]);
                break;
            case State.RamRecord:
                ReadRamRecord(BinaryPrimitives.ReadUInt64BigEndian(field));
                break;
            case State.PageNameLength:
                Await(State.PageName, NameLength(field[0]));
                break;
            case State.PageName:
                ReadPageBlock(field);
                break;
            case State.ZeroByte:
                if (field[0] != 0)
                {
                    Fail("the zero that a zero page repeats", Hex(field));
                }

                ZeroPages++;
                sink.OnZeroPage(_block, _address);
                Await(State.RamRecord);
                break;
            case State.Footer:
                Check(field[0] == SectionFooter && BinaryPrimitives.ReadUInt32BigEndian(field[1..]) == _ramSection,
                    $"the footer of section {_ramSection}", Hex(field));
                Await(State.SectionType);
                break;
            case State.SectionId:
                ReadSectionId(BinaryPrimitives.ReadUInt32BigEndian(field));
                break;
            case State.CommandHead:
                ReadCommandHead(field, ref sink);
                break;
            case State.CommandPayload:
                field.CopyTo(_partial);
                sink.OnCommand(_command, _partial.AsSpan(0, field.Length));
                Await(State.SectionType);
                break;
            case State.ListNameLength or State.ListName or State.ListLength:
                ReadBlockList(field, ref sink);
                break;
            default:
                ReadHead(field);
                break;
        }
    }

    private void ReadSectionType(byte type)
    {
        switch (type)
        {
            case SectionStart when !_inCheckpoint && _ramSection is null:
                Await(State.StartId);
                break;
            case SectionPart or SectionEnd when _inCheckpoint || _ramSection is not null:
                Await(State.SectionId);
                break;
            case Command:
                Await(State.CommandHead);
                break;
            case Eof when _inCheckpoint:
                Await(State.End);
                break;
            default:
                Fail(_inCheckpoint ? "a RAM section, a command or the end of the checkpoint's RAM" : "a RAM section, a command or a device section",
                    $"section type {type}");
                break;
        }
    }

    private void ReadSectionId(uint id)
    {
        // A scanner that was given its blocks learns the section's number from the first checkpoint.
        _ramSection ??= id;
        Check(id == _ramSection, $"section {_ramSection} (ram)", id);
        Await(State.RamRecord);
    }

    private void ReadRamRecord(ulong header)
    {
        var flags = (uint)header & FlagMask;
        _address = header & ~(ulong)FlagMask;
        switch (flags)
        {
            case Page or Zero:
                _sectionFlags = flags;
                Await(State.PageNameLength);
                break;
            case Page | Continue or Zero | Continue:
                _sectionFlags = flags;
                if (_block < 0)
                {
                    Fail("the name of a block before its first page", "a page of the block before");
                }

                BeginPage();
                break;
            case EndOfSection:
                Await(State.Footer);
                break;
            case MultifdFlush:
                Await(State.RamRecord);
                break;
            case MemSize when !_inCheckpoint && _blocks.Count == 0:
                _listLeft = header & ~(ulong)MemSize;
                Await(_listLeft == 0 ? State.RamRecord : State.ListNameLength);
                break;
            default:
                Fail("a page, a zero page or the end of the section", Meaning(flags));
                break;
        }
    }

    private void ReadPageBlock(scoped ReadOnlySpan<byte> name)
    {
        var block = _block >= 0 && name.SequenceEqual(_names[_block]) ? _block : IndexOf(name);
        if (block < 0)
        {
            Fail("the name of a block that was listed", $"'{Text(name)}'");
        }

        _block = block;
        _blockLength = _blocks[block].Length;
        BeginPage();
    }

    private void BeginPage()
    {
        if (_address >= _blockLength)
        {
            Fail($"an address inside block '{_blocks[_block].Name}' of {_blockLength} bytes", $"0x{_address:x}");
        }

        _pageOffset = 0;
        Await((_sectionFlags & Zero) != 0 ? State.ZeroByte : State.PageBody);
    }

    private void ReadCommandHead<TSink>(scoped ReadOnlySpan<byte> field, ref TSink sink) where TSink : IRamSink, allows ref struct
    {
        _command = BinaryPrimitives.ReadUInt16BigEndian(field);
        var length = BinaryPrimitives.ReadUInt16BigEndian(field[2..]);
        Check(length <= MaxCommandPayload, $"a command of at most {MaxCommandPayload} bytes", length);
        if (length > 0)
        {
            Await(State.CommandPayload, length);
            return;
        }

        sink.OnCommand(_command, []);
        Await(State.SectionType);
    }

    private void Await(State state) => Await(state, LengthOf(state));

    private void Await(State state, int length)
    {
        _state = state;
        _need = length;
        _have = 0;
    }

    private static int LengthOf(State state) => state switch
    {
        State.FileHeader or State.RamRecord or State.StartVersion or State.CapabilityCount or State.PageBits => 8,
        State.MachineLength or State.StartId or State.SectionId or State.CommandHead => 4,
        State.Footer => 5,
        State.Uuid => 4 + 16,
        State.End or State.DeviceState or State.PageBody => 0,
        _ => 1,
    };

    private int NameLength(byte length)
    {
        Check(length > 0, "a name", "an empty one");
        return length;
    }

    private int IndexOf(ReadOnlySpan<byte> name)
    {
        for (var i = 0; i < _blocks.Count; i++)
        {
            if (name.SequenceEqual(_names[i]))
            {
                return i;
            }
        }

        return -1;
    }

    private static string Meaning(uint flags) => flags switch
    {
        Xbzrle or Xbzrle | Continue => "an XBZRLE page (switch the capability xbzrle off)",
        MemSize => "a list of blocks",
        _ => $"a record with flags 0x{flags:x}",
    };

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);

    private static string Hex(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(bytes);

    /// <summary>For fields that come once a stream or section; a record's checks build no text before they fail.</summary>
    private void Check(bool holds, string expected, object found)
    {
        if (!holds)
        {
            Fail(expected, $"{found}");
        }
    }

    [System.Diagnostics.CodeAnalysis.DoesNotReturn]
    private void Fail(string expected, string found)
    {
        Await(State.Broken);
        throw new WireFormatException("migration stream", _fieldOffset, expected, found);
    }

    private enum State
    {
        FileHeader, ConfigurationType, MachineLength, Machine, AfterConfiguration,
        SubsectionNameLength, SubsectionName, CapabilityCount, CapabilityNameLength, CapabilityName, PageBits, Uuid,
        SectionType, StartId, StartNameLength, StartName, StartVersion, SectionId, Footer,
        RamRecord, ListNameLength, ListName, ListLength, PageNameLength, PageName, ZeroByte, PageBody,
        CommandHead, CommandPayload,
        DeviceState, End, Broken,
    }
}
