using System.Buffers;
using System.Buffers.Binary;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Migration.Policies;
using Pollux.Migration.Streaming;
using Pollux.Wire;
using Pollux.Wire.Migration;

namespace Pollux.Unit.Tests.Migration;

public sealed class StreamingTests
{
    private const int PageBytes = 4096;
    private const int Blocks = 3;

    [Fact]
    public void Chunks_ReadBack_AreWhatWasWritten()
    {
        var link = new MemoryStream();
        ChunkFrames.Write(link, Chunk([1, 2, 3]));
        ChunkFrames.Write(link, Chunk([4]));
        ChunkFrames.WriteEnd(link);
        link.Position = 0;
        var space = new byte[ChunkFrames.MaxBytes];
        Assert.Equal(3, ChunkFrames.Read(link, space));
        Assert.Equal([1, 2, 3], space[..3]);
        Assert.Equal(1, ChunkFrames.Read(link, space));
        Assert.Equal(0, ChunkFrames.Read(link, space));
    }

    [Fact]
    public void Chunks_OfALinkThatClosed_AreNoEnd()
    {
        var whole = new MemoryStream();
        ChunkFrames.Write(whole, Chunk([1, 2, 3]));
        for (var cut = 0; cut < whole.Length; cut++)
        {
            var link = new MemoryStream(whole.ToArray()[..cut]);
            Assert.Throws<EndOfStreamException>(() => ChunkFrames.Read(link, new byte[ChunkFrames.MaxBytes]));
        }
    }

    [Fact]
    public void Chunk_LongerThanAnyOfOurs_IsRefused()
    {
        var head = new byte[ChunkFrames.HeadBytes];
        BinaryPrimitives.WriteUInt32BigEndian(head, uint.MaxValue);
        Assert.Throws<WireFormatException>(() => ChunkFrames.Read(new MemoryStream(head), new byte[ChunkFrames.MaxBytes]));
    }

    [Fact]
    public void Ledger_PageSentAgain_CountsInItsGroup()
    {
        var ledger = new PageLedger(pagesMax: 10_000);
        ledger.Add("ram0", 3 * PageGroups.Bytes);
        ledger.Add("bios", 2 * PageBytes);
        Assert.True(ledger.Count(0, 0));
        Assert.True(ledger.Count(0, PageGroups.Bytes));
        ledger.Iteration = 2;
        Assert.False(ledger.Count(0, PageGroups.Bytes));
        Assert.True(ledger.Count(1, PageBytes));

        Assert.Equal((4, 1), (ledger.SentPages, ledger.ResentPages));
        var groups = ledger.Groups();
        Assert.Equal(new GroupSample(1, 0, 1), groups[0]);
        Assert.Equal(new GroupSample(2, 1, 2), groups[1]);
        Assert.Equal(default, groups[2]);
        Assert.Equal(1, groups.Skip(3).Sum(g => g.SentPages));
    }

    [Fact]
    public void Ledger_BlockBeyondTheGuestsMemory_IsRefused()
    {
        var ledger = new PageLedger(pagesMax: 100);
        Assert.Throws<WireFormatException>(() => ledger.Add("ram0", ulong.MaxValue));
        Assert.Throws<WireFormatException>(() => ledger.Add("ram0", 101 * PageBytes));
    }

    [Fact]
    public async Task Relay_WholeStream_IsOnTheLinkByteForByteAndCounted()
    {
        var stream = Stream();
        var (qemu, peer) = SocketPair();
        using (peer)
        {
            var link = new MemoryStream();
            var relay = new StreamRelay(qemu, link, null, new PageLedger(pagesMax: 10_000));
            await peer.SendAsync(stream);
            peer.Shutdown(SocketShutdown.Both);
            await relay.Ended;
            relay.MarkEnd();
            relay.Close();

            Assert.Equal(stream.Length, relay.SentBytes);
            Assert.Equal(Blocks * 2, relay.Ledger.SentPages);
            Assert.Equal(0, relay.Ledger.ResentPages);
            Assert.Equal(stream, Unframed(link));
        }
    }

    /// <summary>Cut anywhere, pages that wait arrive once, as the RAM's file has them when the guest stands, and nothing else is lost.</summary>
    [Theory]
    [InlineData(ulong.MaxValue, 1 << 20)]
    [InlineData(0x5555_5555_5555_5555, 9000)]
    [InlineData(0xffff_ffff_0000_0000, 300)]
    [InlineData(0UL, 4096)]
    public async Task Relay_PagesThatWait_ArriveAsTheyAreWhenTheGuestStands(ulong slices, int mostPiece)
    {
        const int Pages = 4 * RamSight.Slices;
        var random = new Random(7);
        var (then, now) = (new byte[Pages * PageBytes], new byte[Pages * PageBytes]);
        random.NextBytes(then);
        random.NextBytes(now);
        var file = Path.GetTempFileName();
        await File.WriteAllBytesAsync(file, now);
        var stream = new ArrayBufferWriter<byte>();
        TakeoverStream.Compose(stream, "pc-q35-7.2", [new TakeoverBlock("ram0", (ulong)then.Length, then), new TakeoverBlock("bios", PageBytes, then[..PageBytes])], new byte[] { 4, 0 });
        var again = random.GetItems([.. Enumerable.Range(0, 256).Select(b => (byte)b)], PageBytes);
        SendAgain(stream, [3, 5, 6, Pages - 1], again);
        var (qemu, peer) = SocketPair();
        var link = new MemoryStream();
        long sent;
        using (peer)
        {
            var postponed = PostponedPages.TryOpen(file, then.Length)!;
            postponed.Slices = slices;
            var relay = new StreamRelay(qemu, link, null, new PageLedger(pagesMax: 10_000), postponed);
            for (var rest = stream.WrittenMemory; !rest.IsEmpty;)
            {
                var piece = rest[..Math.Min(rest.Length, random.Next(1, mostPiece))];
                await peer.SendAsync(piece);
                rest = rest[piece.Length..];
            }
            peer.Shutdown(SocketShutdown.Both);
            await relay.Ended;
            relay.MarkEnd();
            relay.Close();
            sent = relay.SentBytes;
        }
        File.Delete(file);

        var arrived = new ArrivedRam(then.Length);
        var scanner = new RamStreamScanner(expectHeader: true);
        var bytes = Unframed(link);
        Assert.Equal(sent, bytes.Length);
        var devices = bytes[scanner.Scan(bytes, ref arrived)..];
        Assert.True(scanner.AtDeviceState);
        Assert.Equal(stream.WrittenSpan[^devices.Length..].ToArray(), devices);
        Assert.All([3, 5, 6, Pages - 1], page => Assert.True(arrived.Ram.AsSpan(page * PageBytes, PageBytes).SequenceEqual(again), $"page {page} came again, and waits no longer"));
        Assert.InRange(arrived.Pages, Pages, Pages + 4);
        var waited = Enumerable.Range(0, Pages).Where(page => arrived.Ram.AsSpan(page * PageBytes, PageBytes).SequenceEqual(now.AsSpan(page * PageBytes, PageBytes))).ToHashSet();
        Assert.All(Enumerable.Range(0, Pages).Except(waited).Except([3, 5, 6, Pages - 1]), page => Assert.True(arrived.Ram.AsSpan(page * PageBytes, PageBytes).SequenceEqual(then.AsSpan(page * PageBytes, PageBytes)), $"page {page}"));
        Assert.All(waited, page => Assert.True((slices >> (page / 4) & 1) != 0, $"page {page} was not to wait"));
        Assert.Equal(slices == 0, waited.Count == 0);
    }

    [Fact]
    public async Task Relay_StreamThatIsNone_SaysSo()
    {
        var (qemu, peer) = SocketPair();
        using (peer)
        {
            var relay = new StreamRelay(qemu, new MemoryStream(), null, new PageLedger(pagesMax: 10_000));
            await peer.SendAsync("no migration stream at all"u8.ToArray());
            await Assert.ThrowsAsync<WireFormatException>(() => relay.Ended);
            relay.Break();
        }
    }

    [Fact]
    public async Task Relay_BrokenLink_IsTold()
    {
        var (qemu, peer) = SocketPair();
        using (peer)
        {
            var link = new MemoryStream();
            await link.DisposeAsync();
            var relay = new StreamRelay(qemu, link, null, new PageLedger(pagesMax: 10_000));
            await peer.SendAsync(Stream());
            Assert.Contains("link to the destination broke", (await Assert.ThrowsAsync<PolluxException>(() => relay.Ended)).Message, StringComparison.Ordinal);
            relay.Break();
        }
    }

    private static byte[] Chunk(byte[] bytes) => [.. new byte[ChunkFrames.HeadBytes], .. bytes];

    /// <summary>A stream as QEMU writes it, of three blocks with two pages each.</summary>
    private static byte[] Stream()
    {
        var content = new byte[2 * PageBytes];
        content[7] = 1;
        var stream = new ArrayBufferWriter<byte>();
        TakeoverStream.Compose(
            stream, "pc-q35-7.2", [.. Enumerable.Range(0, Blocks).Select(i => new TakeoverBlock($"block{i}", (ulong)content.Length, content))], new byte[] { 4, 0 });
        return stream.WrittenSpan.ToArray();
    }

    /// <summary>Puts another section of the RAM before the devices' state, as QEMU's next pass.</summary>
    private static void SendAgain(ArrayBufferWriter<byte> stream, int[] pages, byte[] content)
    {
        var whole = stream.WrittenSpan.ToArray();
        var scanner = new RamStreamScanner(expectHeader: true);
        var nothing = new ArrivedRam(pages.Max() * PageBytes + PageBytes);
        var devices = scanner.Scan(whole, ref nothing);
        stream.ResetWrittenCount();
        stream.Write(whole.AsSpan(0, devices));
        var section = new byte[RamRecords.MostBytes * (pages.Length + 1)];
        var used = RamRecords.PutBegin(section, scanner.RamSection!.Value);
        for (var n = 0; n < pages.Length; n++)
        {
            used += n == 0 ? RamRecords.PutFirstPage(section.AsSpan(used), (ulong)pages[n] * PageBytes, "ram0") : RamRecords.PutPage(section.AsSpan(used), (ulong)pages[n] * PageBytes);
            content.CopyTo(section.AsSpan(used));
            used += PageBytes;
        }
        used += RamRecords.PutEnd(section.AsSpan(used), scanner.RamSection.Value);
        stream.Write(section.AsSpan(0, used));
        stream.Write(whole.AsSpan(devices));
    }

    private static byte[] Unframed(MemoryStream link)
    {
        link.Position = 0;
        var stream = new MemoryStream();
        var space = new byte[ChunkFrames.MaxBytes];
        while (ChunkFrames.Read(link, space) is > 0 and var length)
        {
            stream.Write(space.AsSpan(0, length));
        }
        Assert.Equal(link.Length, link.Position);
        return stream.ToArray();
    }

    private static (Socket Qemu, Socket Peer) SocketPair()
    {
        var path = Path.Combine(Path.GetTempPath(), $"plx-{Guid.NewGuid():n}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        var peer = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        peer.Connect(new UnixDomainSocketEndPoint(path));
        var accepted = listener.Accept();
        File.Delete(path);
        return (accepted, peer);
    }

    /// <summary>The first block, as a destination would have it.</summary>
    private sealed class ArrivedRam(int length) : IRamSink
    {
        public byte[] Ram { get; } = new byte[length];

        public int Pages { get; private set; }

        public void OnBlock(int block, string name, ulong bytes)
        {
        }

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
        {
            if (block == 0)
            {
                piece.CopyTo(Ram.AsSpan((int)address + offset));
                Pages += offset == 0 ? 1 : 0;
            }
        }

        public void OnZeroPage(int block, ulong address) => throw new InvalidOperationException("none of these pages is zero");

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
        }
    }
}
