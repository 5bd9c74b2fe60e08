using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Shipping;
using Pollux.Simulation.Shipping;
using Pollux.Unit.Tests.Replication.Link;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Shipping;

/// <summary>What is left out is what the standby has: images compared after every epoch, through the threads and frames between the two sides.</summary>
public sealed class EpochEncoderTests
{
    private const int PageBytes = 4096;
    private const int RamPages = 300;
    private const int BiosPages = 4;

    [Theory]
    [InlineData(1, CompressionMode.Never)]
    [InlineData(2, CompressionMode.Never)]
    [InlineData(3, CompressionMode.Always)]
    [InlineData(4, CompressionMode.Auto)]
    public void Epochs_AThousandAtRandom_ImageEqualsTheGuestAfterEach(int seed, CompressionMode compression)
    {
        var guest = new RandomGuest(seed);
        using var pair = guest.Protect(compression);
        for (var epoch = 1; epoch <= 1000; epoch++)
        {
            pair.Ship(epoch, guest.Run());
            pair.WaitApplied(epoch);
            guest.AssertEquals(pair, epoch);
        }
        var counts = pair.Sender.Counts;
        Assert.True(counts is { UnchangedPages: > 0, ZeroPages: > 0, PartPages: > 0, WholePages: > 0 }, "every kind of page came");
        Assert.True(counts.ShippedBytes < counts.CapturedBytes / 2, $"{counts.ShippedBytes} of {counts.CapturedBytes} bytes");
        Assert.Equal(0, pair.PrimaryPool.UsedBytes);
        var link = pair.Sender.Pieces.Counts;
        Assert.Equal(compression == CompressionMode.Never, link.CompressedFrames == 0);
        Assert.InRange(link.SentBytes, 1, link.Bytes);
    }

    [Theory]
    [InlineData(CompressionMode.Never)]
    [InlineData(CompressionMode.Always)]
    public void Epochs_LargerThanChunksAndFrames_ImageEqualsTheGuest(CompressionMode compression)
    {
        var guest = new RandomGuest(4);
        using var pair = guest.Protect(compression);
        for (var epoch = 1; epoch <= 20; epoch++)
        {
            pair.Ship(epoch, guest.RewriteAll());
            pair.WaitApplied(epoch);
            guest.AssertEquals(pair, epoch);
        }
    }

    [Fact]
    public void Epoch_OfPagesWrittenWithWhatTheyHeld_IsSentOnceAndThenLeftOut()
    {
        var guest = new RandomGuest(5);
        using var pair = guest.Protect();
        pair.Ship(1, guest.Rewrite(change: false));
        pair.WaitApplied(1);
        var once = pair.Sender.Counts;
        pair.Ship(2, guest.Rewrite(change: false));
        pair.WaitApplied(2);
        var twice = pair.Sender.Counts;

        Assert.Equal(RamPages, once.KnownPages);
        Assert.Equal(once.ShippedBytes, twice.ShippedBytes);
        Assert.Equal(RamPages, twice.UnchangedPages - once.UnchangedPages);
        guest.AssertEquals(pair, 2);
    }

    [Fact]
    public void Epoch_OfOneByteChangedInEachPage_SendsOnePartOfEach()
    {
        var guest = new RandomGuest(6);
        using var pair = guest.Protect();
        pair.Ship(1, guest.Rewrite(change: false));
        pair.WaitApplied(1);
        var before = pair.Sender.Counts.ShippedBytes;
        pair.Ship(2, guest.Rewrite(change: true));
        pair.WaitApplied(2);

        Assert.Equal(RamPages * (PageRecord.HeaderBytes + PageRecord.PartBytes), pair.Sender.Counts.ShippedBytes - before);
        guest.AssertEquals(pair, 2);
    }

    [Fact]
    public void Epoch_AbandonedHalfWay_LeavesTheStandbyAtTheOneBefore()
    {
        var guest = new RandomGuest(7);
        using var pair = guest.Protect();
        pair.Ship(1, guest.Run());
        pair.WaitApplied(1);
        var before = guest.Copy();

        // As an epoch that crowds the pool: shipped while it is captured, and then QEMU is gone.
        var buffer = new EpochBuffer(pair.PrimaryPool, new Epoch(2));
        pair.Sender.Ship(buffer);
        ConnectedPair.Fill(buffer, guest.RewriteAll());
        pair.Sender.Wake();
        pair.WaitShipped(1 << 20);
        buffer.Abandon();
        pair.Sender.Dispose();

        Assert.Equal(new Epoch(1), pair.Image.Applied);
        Assert.True(pair.Ram.Span(0, before.Length).SequenceEqual(before));
    }

    [Fact]
    public void Protection_AfterOneThatWasLost_KnowsNothingOfIt()
    {
        var guest = new RandomGuest(8);
        using (var lost = guest.Protect())
        {
            lost.Ship(1, guest.Rewrite(change: true));
            lost.WaitApplied(1);
        }
        guest.Run(); // while nobody stands by

        using var pair = guest.Protect();
        for (var epoch = 1; epoch <= 50; epoch++)
        {
            pair.Ship(epoch, guest.Run());
            pair.WaitApplied(epoch);
            guest.AssertEquals(pair, epoch);
        }
    }

    [Fact]
    public void Epochs_SentInTwoWaysInOneProtection_AreRefused()
    {
        var guest = new RandomGuest(9);
        using var pair = guest.Protect();
        pair.Ship(1, guest.Run());
        pair.WaitApplied(1);
        pair.Frames.Write(FrameType.Ram, 2, guest.Run());

        pair.WaitFailed();
        Assert.Contains("epochs are sent as Pages", pair.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void Encode_AfterWarmUp_AllocatesNothingPerPage()
    {
        var guest = new RandomGuest(10);
        using var encoder = new EpochEncoder(new EpochFrames(new FrameStream(Stream.Null)));
        encoder.First(guest.FirstCopy());
        encoder.Encode(new Epoch(1), guest.RewriteAll());
        encoder.Finish();
        var stream = guest.RewriteAll();
        var before = GC.GetAllocatedBytesForCurrentThread();
        encoder.Encode(new Epoch(2), stream);
        encoder.Finish();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, RamPages);
    }

    /// <summary>Two blocks of memory, written as guests write: again with the same, in a few bytes, whole, with zeros.</summary>
    private sealed class RandomGuest(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly byte[] _ram = new byte[RamPages * PageBytes];
        private readonly byte[] _bios = new byte[BiosPages * PageBytes];
        private RamStreamText _stream = new();

        public byte[] Copy() => [.. _ram];

        public byte[] FirstCopy()
        {
            _stream = new RamStreamText().Begin(("ram0", RamPages * PageBytes), ("bios", BiosPages * PageBytes)).Section(3);
            for (var page = 0; page < RamPages; page++)
            {
                Send("ram0", _ram, page);
            }
            for (var page = 0; page < BiosPages; page++)
            {
                Send("bios", _bios, page);
            }
            return _stream.EndSection().Cut();
        }

        /// <summary>The first copy, on a new standby.</summary>
        public ConnectedPair Protect(CompressionMode compression = CompressionMode.Never)
        {
            var pair = new ConnectedPair(RamPages * PageBytes, "ram0", encode: true, compression);
            pair.Ship(0, FirstCopy());
            pair.WaitApplied(0);
            AssertEquals(pair, 0);
            return pair;
        }

        /// <summary>An epoch in which up to 40 pages were dirty.</summary>
        public byte[] Run()
        {
            _stream.Section(3);
            for (var i = _random.Next(0, 40); i > 0; i--)
            {
                var (name, memory, pages) = _random.Next(10) == 0 ? ("bios", _bios, BiosPages) : ("ram0", _ram, RamPages);
                var page = _random.Next(pages);
                Write(memory.AsSpan(page * PageBytes, PageBytes));
                Send(name, memory, page);
            }
            return _stream.EndSection().End().Cut();
        }

        public byte[] RewriteAll()
        {
            _stream.Section(3);
            for (var page = 0; page < RamPages; page++)
            {
                _random.NextBytes(_ram.AsSpan(page * PageBytes, PageBytes));
                Send("ram0", _ram, page);
            }
            return _stream.EndSection().End().Cut();
        }

        /// <summary>Every page dirty, with one byte changed or none.</summary>
        public byte[] Rewrite(bool change)
        {
            _stream.Section(3);
            for (var page = 0; page < RamPages; page++)
            {
                _ram[(page * PageBytes) + _random.Next(PageBytes)] += change ? (byte)1 : (byte)0;
                _stream.Page("ram0", (ulong)(page * PageBytes), _ram.AsSpan(page * PageBytes, PageBytes));
            }
            return _stream.EndSection().End().Cut();
        }

        public void AssertEquals(ConnectedPair pair, long epoch)
        {
            Assert.True(pair.Ram.Span(0, _ram.Length).SequenceEqual(_ram), $"the RAM differs after epoch {epoch}");
            var bios = pair.Image.TakeoverBlocks().Single(b => b.Name == "bios").Content.Span;
            Assert.True(bios.SequenceEqual(_bios), $"the small block differs after epoch {epoch}");
        }

        private void Write(Span<byte> page)
        {
            switch (_random.Next(5))
            {
                case 0:
                    page.Clear();
                    break;
                case 1:
                    _random.NextBytes(page);
                    break;
                case 2:
                    break; // dirty, and the same
                case 3:
                    page[_random.Next(PageBytes)]++;
                    break;
                default:
                    var from = _random.Next(PageBytes);
                    _random.NextBytes(page.Slice(from, _random.Next(PageBytes - from)));
                    break;
            }
        }

        /// <summary>QEMU looks for zero pages, but it may send one as any other.</summary>
        private void Send(string name, byte[] memory, int page)
        {
            var content = memory.AsSpan(page * PageBytes, PageBytes);
            var zero = !content.ContainsAnyExcept((byte)0) && _random.Next(4) != 0;
            _stream.Page(name, (ulong)(page * PageBytes), zero ? default : content);
        }
    }
}
