using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Standby;
using Pollux.Simulation.Shipping;
using Pollux.Unit.Tests.Replication.Link;
using Pollux.Unit.Tests.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Compression;

/// <summary>A compressed frame that is spoilt, or cut anywhere, ends the link; the image stays at the epoch before.</summary>
public sealed class CompressedEpochTests
{
    private const int PageBytes = 4096;
    private const int RamPages = 16;
    private static readonly byte[] DeviceState = [4, .. new byte[3000]];

    [Theory]
    [InlineData(FrameType.Pages)]
    [InlineData(FrameType.DeviceState)]
    public void Frame_OfGarbageThatIsSaidToBeCompressed_EndsTheLinkAndNothingIsApplied(FrameType type)
    {
        var random = new Random(1);
        for (var round = 0; round < 30; round++)
        {
            using var pair = Pair();
            var garbage = new byte[random.Next(100)];
            random.NextBytes(garbage);
            if (garbage.Length >= CompressedPayload.HeaderBytes)
            {
                CompressedPayload.WriteHeader(garbage, random.Next(1, 5000));
            }
            pair.Frames.Write(FrameType.Pages, 1, Record(1));
            pair.Frames.Write(type, 1, garbage, isCompressed: true);

            pair.WaitFailed();
            Assert.Contains("compressed payload", pair.Failure, StringComparison.Ordinal);
            Assert.Equal(new Epoch(0), pair.Image.Applied);
            Assert.False(pair.Ram.Span(0, RamPages * PageBytes).ContainsAnyExcept((byte)0));
        }
    }

    [Theory]
    [InlineData(FrameType.Egress)]
    [InlineData(FrameType.EpochEnd)]
    [InlineData(FrameType.Scrub)]
    public void Frame_OfAnotherTypeThatIsCompressed_EndsTheLink(FrameType type)
    {
        using var pair = Pair();
        pair.Frames.Write(type, 1, new byte[EpochEnd.Bytes], isCompressed: true);
        pair.WaitFailed();
        Assert.Contains("only pieces of epochs may be", pair.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void Link_CutAtEveryByteOfACompressedEpoch_LeavesTheImageAtTheOneBefore()
    {
        var stream = new MemoryStream();
        using (var frames = new EpochFrames(new FrameStream(stream), CompressionMode.Always))
        {
            WriteEpoch(frames, 0, FrameType.Ram, FirstCopy());
            WriteEpoch(frames, 1, FrameType.Pages, Record(1));
            var before = (int)stream.Length;
            WriteEpoch(frames, 2, FrameType.Pages, Record(2));
            Assert.True(frames.Counts.CompressedFrames >= 5, $"{frames.Counts.CompressedFrames} frames are compressed");
            var bytes = stream.ToArray();
            for (var length = before; length <= bytes.Length; length++)
            {
                Assert.Equal(length == bytes.Length ? 2 : 1, Receive(bytes.AsSpan(0, length).ToArray()));
            }
        }
    }

    [Fact]
    public void Link_WithAnyBitOfACompressedEpochFlipped_AppliesNothingElse()
    {
        var stream = new MemoryStream();
        using var frames = new EpochFrames(new FrameStream(stream), CompressionMode.Always);
        WriteEpoch(frames, 0, FrameType.Ram, FirstCopy());
        WriteEpoch(frames, 1, FrameType.Pages, Record(1));
        var before = (int)stream.Length;
        WriteEpoch(frames, 2, FrameType.Pages, Record(2));
        var random = new Random(2);
        for (var round = 0; round < 300; round++)
        {
            var bytes = stream.ToArray();
            bytes[random.Next(before, bytes.Length)] ^= (byte)(1 << random.Next(8));
            Assert.InRange(Receive(bytes), 1, 2); // 2: the bit was one of a header's reserved ones
        }
    }

    /// <summary>Reads what came until the link ends, and checks that the image is that of the last whole epoch, which is returned.</summary>
    private static long Receive(byte[] bytes)
    {
        using var ram = MemoryMap.AllocateAnonymous(RamPages * PageBytes);
        using var image = new StandbyImage(ram, "ram0");
        using var pool = new ChunkPool(16 << 20);
        using var events = new Events();
        using var receiver = new EpochReceiver(new FrameStream(new MemoryStream(bytes)), image, pool, "test", events);
        receiver.Start();
        Assert.True(events.Ended.Wait(TimeSpan.FromSeconds(20)), "the link ends");
        receiver.WaitApplied(new Epoch(events.Whole));
        var last = events.Whole;
        Assert.Equal(new Epoch(last), image.Applied);
        for (var page = 0; page < RamPages; page++)
        {
            Assert.False(ram.Span(page * PageBytes, PageBytes).ContainsAnyExcept((byte)(page == 0 ? last : 0)));
        }
        return last;
    }

    private static void WriteEpoch(EpochFrames frames, long epoch, FrameType type, byte[] memory)
    {
        frames.Write(type, epoch, memory);
        frames.Write(FrameType.DeviceState, epoch, DeviceState);
        var end = new byte[EpochEnd.Bytes];
        new EpochEnd(memory.Length, DeviceState.Length).Write(end);
        frames.Frames.Write(FrameType.EpochEnd, epoch, end);
    }

    private static ConnectedPair Pair()
    {
        var pair = new ConnectedPair(RamPages * PageBytes, "ram0");
        pair.Ship(0, FirstCopy());
        pair.WaitApplied(0);
        return pair;
    }

    private static byte[] FirstCopy() => new RamStreamText().Begin(("ram0", RamPages * PageBytes)).Section(3).Page("ram0", 0, new byte[PageBytes]).EndSection().Cut();

    /// <summary>The first page, of one value.</summary>
    private static byte[] Record(byte value)
    {
        var bytes = new byte[PageRecord.MaxBytes];
        bytes.AsSpan().Fill(value);
        new PageRecord(0, 0, PageRecord.AllParts).Write(bytes);
        return bytes;
    }

    private sealed class Events : IReceiverEvents, IDisposable
    {
        public ManualResetEventSlim Ended { get; } = new();
        public long Whole { get; private set; } = -1;

        public void EpochWhole(Epoch epoch) => Whole = epoch.Value;

        public void Control(FrameHeader header, byte[] payload)
        {
        }

        public void LinkEnded(string why) => Ended.Set();

        public void ApplyFailed(string why) => Ended.Set();

        public void ScrubFailed(Epoch epoch, string why) => Ended.Set();

        public void Dispose() => Ended.Dispose();
    }
}
