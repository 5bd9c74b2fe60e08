using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Link;
using Pollux.Wire.Migration;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Shipping;

/// <summary>
/// Makes of an epoch's RAM stream what the standby does not have yet: pages that QEMU calls dirty are compared, part by part, with the
/// hashes of what was sent before, and only parts that differ are written to the link. On the link's own thread, never in the guest's pause.
///
/// Why a part that is left out equals the standby's: the hashes are of one protection, which begins with a full copy; they change only when
/// the content itself is written to the same link, in the same order in which the standby applies it. A link that fails, or an epoch that
/// is abandoned, ends the protection and the hashes with it. What remains is the chance that two contents have one hash (see
/// <see cref="KeyedHash"/>); the scrub, which has a key of its own, would find that too.
///
/// The first copy is sent as it is; of its pages nothing is known here, so that each is sent whole once more when it is first dirty.
/// </summary>
public sealed class EpochEncoder : IDisposable
{
    private const byte BeginsDeviceState = 4; // QEMU's section type FULL
    private readonly EpochFrames _frames;
    private readonly KeyedHash _hash = new(KeyedHash.NewSeed(), PageRecord.PartBytes);
    private readonly PageSums _sums = new();
    private readonly RamStreamScanner _scanner = new(expectHeader: true);
    private readonly MemoryMap _output = MemoryMap.AllocateAnonymous(FrameHeader.MaxPayloadBytes);
    private readonly byte[] _splitPage = new byte[PageRecord.PageBytes];
    private readonly UInt128 _zeroSum;
    private int _used;
    private long _epoch;
    private long _epochBytes;
    private long _epochFrames;
    private ShippingCounts _counts;

    public EpochEncoder(EpochFrames frames)
    {
        _frames = frames;
        _zeroSum = _hash.Of(new byte[PageRecord.PartBytes]);
    }

    /// <summary>What was done with the pages of all epochs after the first copy. May be read from any thread; then it may be a moment old.</summary>
    public ShippingCounts Counts => _counts;

    /// <summary>A piece of the first copy was sent.</summary>
    public void First(ReadOnlySpan<byte> ramStream)
    {
        var sink = new Blocks(_sums);
        _scanner.Scan(ramStream, ref sink);
    }

    /// <summary>Takes a piece of an epoch's RAM stream, and writes what came together.</summary>
    /// <exception cref="IOException">The link is down.</exception>
    public void Encode(Epoch epoch, ReadOnlySpan<byte> ramStream)
    {
        if (_epoch != epoch.Value)
        {
            Begin(epoch.Value);
        }
        var sink = new Pages(this);
        var consumed = _scanner.Scan(ramStream, ref sink);
        Invariant.Check(consumed == ramStream.Length, "nothing follows an epoch's RAM stream");
        _counts.CapturedBytes += ramStream.Length;
    }

    /// <summary>The epoch's RAM stream is whole: writes what is left. Returns the bytes written for the epoch.</summary>
    /// <exception cref="IOException">The link is down.</exception>
    public long Finish()
    {
        Invariant.Check(_scanner.AtEnd, "an epoch's RAM stream is whole before its end is sent");
        if (_used > 0 || _epochFrames == 0)
        {
            Flush(); // An epoch that changed nothing has a frame too: the standby sees by it how the epoch is written.
        }
        return _epochBytes;
    }

    public void Dispose()
    {
        _sums.Dispose();
        _output.Dispose();
    }

    private void Begin(long epoch)
    {
        if (_epoch == 0)
        {
            var sink = new Blocks(_sums);
            _scanner.Scan([BeginsDeviceState], ref sink);
        }
        _scanner.BeginCheckpoint();
        (_epoch, _epochBytes, _epochFrames) = (epoch, 0, 0);
    }

    private void Page(int block, ulong address, ReadOnlySpan<byte> page)
    {
        var sums = _sums.Of(block, address);
        var isNew = sums[0] == default;
        var parts = 0;
        for (var part = 0; part < PageRecord.PartsPerPage; part++)
        {
            var sum = _hash.Of(page.Slice(part * PageRecord.PartBytes, PageRecord.PartBytes));
            if (sums[part] != sum)
            {
                sums[part] = sum;
                parts |= 1 << part;
            }
        }
        _counts.Count(parts, isNew);
        if (parts != 0)
        {
            Write(new PageRecord(address, block, parts), page);
        }
    }

    private void ZeroPage(int block, ulong address)
    {
        var sums = _sums.Of(block, address);
        var isNew = sums[0] == default;
        if (sums.ContainsAnyExcept(_zeroSum))
        {
            sums.Fill(_zeroSum);
            _counts.CountZero(isNew);
            Write(new PageRecord(address, block, 0), default);
            return;
        }
        _counts.Count(0, isNew);
    }

    private void Write(PageRecord record, ReadOnlySpan<byte> page)
    {
        if (_used + PageRecord.HeaderBytes + record.ContentBytes > FrameHeader.MaxPayloadBytes)
        {
            Flush();
        }
        record.Write(_output.Span(_used, PageRecord.HeaderBytes));
        _used += PageRecord.HeaderBytes;
        if (record.Parts == PageRecord.AllParts)
        {
            page.CopyTo(_output.Span(_used, PageRecord.PageBytes));
            _used += PageRecord.PageBytes;
            return;
        }
        for (var left = record.Parts; left != 0; left &= left - 1)
        {
            var part = System.Numerics.BitOperations.TrailingZeroCount(left);
            page.Slice(part * PageRecord.PartBytes, PageRecord.PartBytes).CopyTo(_output.Span(_used, PageRecord.PartBytes));
            _used += PageRecord.PartBytes;
        }
    }

    private void Flush()
    {
        _frames.Write(FrameType.Pages, _epoch, _output.Span(0, _used));
        _epochBytes += _used;
        _epochFrames++;
        _counts.ShippedBytes += _used;
        _used = 0;
    }

    /// <summary>Of the first copy only the list of blocks counts.</summary>
    private readonly struct Blocks(PageSums sums) : IRamSink
    {
        public void OnBlock(int block, string name, ulong length) => sums.AddBlock(length);

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
        {
        }

        public void OnZeroPage(int block, ulong address)
        {
        }

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
        }
    }

    private readonly struct Pages(EpochEncoder encoder) : IRamSink
    {
        public void OnBlock(int block, string name, ulong length) => throw new InvalidOperationException("blocks are listed in the first copy only");

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
        {
            if (piece.Length == PageRecord.PageBytes)
            {
                encoder.Page(block, address, piece);
                return;
            }
            piece.CopyTo(encoder._splitPage.AsSpan(offset));
            if (offset + piece.Length == PageRecord.PageBytes)
            {
                encoder.Page(block, address, encoder._splitPage);
            }
        }

        public void OnZeroPage(int block, ulong address) => encoder.ZeroPage(block, address);

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
        }
    }
}

/// <summary>What became of the pages of all epochs after the first copy.</summary>
public struct ShippingCounts
{
    /// <summary>RAM stream as QEMU wrote it.</summary>
    public long CapturedBytes { get; set; }

    /// <summary>Of page records, without frames' headers.</summary>
    public long ShippedBytes { get; set; }

    /// <summary>Not sent: the standby has them.</summary>
    public long UnchangedPages { get; private set; }

    /// <summary>Sent as a header: all zeros now.</summary>
    public long ZeroPages { get; private set; }

    /// <summary>Of which some parts were sent.</summary>
    public long PartPages { get; private set; }
    public long WholePages { get; private set; }

    /// <summary>Different pages seen so far: each has an entry of 128 bytes in the table.</summary>
    public long KnownPages { get; private set; }

    public readonly long TableBytes => KnownPages * PageSums.BytesPerPage;

    internal void Count(int parts, bool isNew)
    {
        UnchangedPages += parts == 0 ? 1 : 0;
        WholePages += parts == PageRecord.AllParts ? 1 : 0;
        PartPages += parts is not 0 and not PageRecord.AllParts ? 1 : 0;
        KnownPages += isNew ? 1 : 0;
    }

    internal void CountZero(bool isNew)
    {
        ZeroPages++;
        KnownPages += isNew ? 1 : 0;
    }
}
