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
        var sink = new PageLedger.Sink(ledger);
        sink.OnBlock(0, "ram0", 3 * PageGroups.Bytes);
        sink.OnBlock(1, "bios", 2 * PageBytes);
        sink.OnZeroPage(0, 0);
        sink.OnPage(0, PageGroups.Bytes, 0, new byte[PageBytes]);
        ledger.Iteration = 2;
        sink.OnPage(0, PageGroups.Bytes, 0, new byte[100]);
        sink.OnPage(0, PageGroups.Bytes, 100, new byte[PageBytes - 100]);
        sink.OnPage(1, PageBytes, 0, new byte[PageBytes]);

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
        var sink = new PageLedger.Sink(new PageLedger(pagesMax: 100));
        Assert.Throws<WireFormatException>(() => sink.OnBlock(0, "ram0", ulong.MaxValue));
        Assert.Throws<WireFormatException>(() => sink.OnBlock(0, "ram0", 101 * PageBytes));
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
}
