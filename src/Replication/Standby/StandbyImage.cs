using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Wire;
using Pollux.Wire.Migration;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Standby;

/// <summary>
/// The guest's state on the standby: the RAM file that a waiting QEMU maps too, the small blocks that are QEMU's own (firmware, option
/// ROMs, tables), and the device state of the last applied epoch. Epochs are applied whole and in order by one thread.
/// </summary>
public sealed unsafe class StandbyImage(MemoryMap ram, string ramBlockName) : IDisposable
{
    /// <summary>Firmware, option ROMs, tables and video RAM of a real machine are some tens of MiB; the lengths are the other side's word.</summary>
    private const ulong SmallBlocksLimit = 256 << 20;

    private readonly RamStreamScanner _scanner = new(expectHeader: true);
    private readonly PageRecordScanner _records = new();
    private readonly List<Block> _blocks = [];
    private ulong _smallBytes;

    /// <summary>The highest epoch that is in the image; <see cref="Epoch.None"/> while the first copy is on its way.</summary>
    public Epoch Applied { get; private set; } = Epoch.None;

    /// <summary>The guest's RAM, as far as epochs are applied.</summary>
    internal MemoryMap Ram => ram;

    /// <summary>As the first copy's header says, for the stream that loads the state.</summary>
    public string? MachineType => _scanner.MachineType;

    public byte[] DeviceState { get; private set; } = [];

    /// <summary>The blocks as a waiting QEMU needs them: the RAM file by name only, the others with their content.</summary>
    public IReadOnlyList<TakeoverBlock> TakeoverBlocks() =>
        [.. _blocks.Select(b => new TakeoverBlock(b.Name, b.Length, b.Small is { } small ? small.Span(0, (int)b.Length).ToArray() : default))];

    /// <summary>Puts a piece of the first copy in place at once: until it is whole the image is nothing anyway.</summary>
    public void ApplyFirst(ReadOnlySpan<byte> ramStream) => Scan(ramStream);

    /// <summary>The first copy is whole.</summary>
    public void FinishFirst(byte[] deviceState)
    {
        // The scanner knows the end of the RAM sections by the byte that begins the device state, and leaves that byte unread.
        var sink = new ApplySink(this);
        _scanner.Scan(deviceState.AsSpan(0, Math.Min(1, deviceState.Length)), ref sink);
        if (!_scanner.AtDeviceState)
        {
            throw new WireFormatException("the first copy ended inside its RAM stream");
        }
        DeviceState = deviceState;
        Applied = new Epoch(0);
    }

    /// <summary>Applies a whole epoch. Its chunks stay the caller's.</summary>
    public void Apply(EpochBuffer epoch, ChunkPool pool)
    {
        Invariant.Check(epoch.Epoch == Applied.Next, $"epoch {epoch.Epoch} follows the applied epoch {Applied}");
        if (!epoch.IsPages)
        {
            _scanner.BeginCheckpoint();
        }
        while (epoch.TakeRam() is { } chunk)
        {
            try
            {
                ApplyPiece(epoch.IsPages, chunk.Filled);
            }
            finally
            {
                pool.Return(chunk);
            }
        }
        if (!(epoch.IsPages ? _records.AtEnd : _scanner.AtEnd))
        {
            throw new WireFormatException($"epoch {epoch.Epoch} ended inside its {(epoch.IsPages ? "page records" : "RAM stream")}");
        }
        DeviceState = epoch.CopyDeviceState();
        Applied = epoch.Epoch;
        epoch.Return();
    }

    public void Dispose()
    {
        foreach (var block in _blocks)
        {
            block.Small?.Dispose();
        }
        _blocks.Clear();
    }

    private void ApplyPiece(bool isPages, ReadOnlySpan<byte> piece)
    {
        if (!isPages)
        {
            Scan(piece);
            return;
        }
        var sink = new ApplySink(this);
        _records.Scan(piece, ref sink);
    }

    private void Scan(ReadOnlySpan<byte> stream)
    {
        var sink = new ApplySink(this);
        var consumed = _scanner.Scan(stream, ref sink);
        if (consumed != stream.Length)
        {
            throw new WireFormatException($"{stream.Length - consumed} bytes follow the end of an epoch's RAM stream");
        }
    }

    private void AddBlock(int index, string name, ulong length)
    {
        if (index < _blocks.Count)
        {
            return; // the list is sent once more with each migration; blocks do not change under protection
        }
        if (name == ramBlockName)
        {
            if (length != (ulong)ram.Length)
            {
                throw new WireFormatException($"the primary's RAM block {name} has {length} bytes, this standby's has {ram.Length}");
            }
            _blocks.Add(new Block(name, length, ram.Start, null));
            return;
        }
        if (length is 0 || length > SmallBlocksLimit - _smallBytes)
        {
            throw new WireFormatException(
                $"the primary's memory block {name} has {length} bytes, {_smallBytes} are in use, the limit for all but the RAM is {SmallBlocksLimit}");
        }
        _smallBytes += length;
        var small = MemoryMap.AllocateAnonymous((long)length);
        _blocks.Add(new Block(name, length, small.Start, small));
    }

    private byte* At(int block, ulong address, int offset, int length)
    {
        if (block >= _blocks.Count)
        {
            throw new WireFormatException($"a page is of block {block}, there are {_blocks.Count}");
        }
        var target = _blocks[block];
        // A block need not end at a page's end: QEMU sends its last page whole.
        var at = address + (ulong)offset;
        if (address >= target.Length || at + (ulong)length > ((target.Length + 4095) & ~4095ul))
        {
            throw new WireFormatException($"a page at 0x{address:x} lies outside its block {target.Name} of {target.Length} bytes");
        }
        return target.Start + at;
    }

    private sealed record Block(string Name, ulong Length, nint Address, MemoryMap? Small)
    {
        public Block(string name, ulong length, byte* start, MemoryMap? small) : this(name, length, (nint)start, small)
        {
        }

        public byte* Start => (byte*)Address;
    }

    private readonly struct ApplySink(StandbyImage image) : IRamSink
    {
        public void OnBlock(int block, string name, ulong length) => image.AddBlock(block, name, length);

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece) =>
            piece.CopyTo(new Span<byte>(image.At(block, address, offset, piece.Length), piece.Length));

        public void OnZeroPage(int block, ulong address)
        {
            var page = new Span<byte>(image.At(block, address, 0, RamStreamScanner.PageSize), RamStreamScanner.PageSize);
            // Most zero pages are zero already: reading is cheaper than making them dirty.
            if (page.ContainsAnyExcept((byte)0))
            {
                page.Clear();
            }
        }

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
        }
    }
}
