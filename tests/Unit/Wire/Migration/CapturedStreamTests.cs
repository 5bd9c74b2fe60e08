using System.Security.Cryptography;
using Pollux.Wire;
using Pollux.Wire.Colo;
using Pollux.Wire.Migration;

namespace Pollux.Unit.Tests.Wire.Migration;

/// <summary>The parsers on what stock QEMUs really say.</summary>
public class CapturedStreamTests
{
    public static TheoryData<string> Names => CapturedStream.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Scan_WholeStream_FindsTheRecordedPagesAndTheGuestsMemory(string name) => Replay(CapturedStream.Load(name), () => int.MaxValue);

    [Theory]
    [MemberData(nameof(Names))]
    public void Scan_StreamInPieces_FindsTheSame(string name)
    {
        var stream = CapturedStream.Load(name);
        foreach (var length in new[] { 13, 4095, 4096, 4104, 65_536 })
        {
            Replay(stream, () => length);
        }
        var random = new Random(72);
        Replay(stream, () => random.Next(1, 10_000));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Scan_HeadOfTheStreamCutAtEveryByte_FindsTheSame(string name)
    {
        var stream = CapturedStream.Load(name);
        var head = stream.Bytes.AsSpan(0, 1500);
        var expected = new RecordingSink();
        new RamStreamScanner(expectHeader: true).Scan(head, ref expected);
        for (var cut = 0; cut <= head.Length; cut++)
        {
            var scanner = new RamStreamScanner(expectHeader: true);
            var sink = new RecordingSink();
            scanner.Scan(head[..cut], ref sink);
            scanner.Scan(head[cut..], ref sink);
            Assert.True(expected.Found.SequenceEqual(sink.Found), $"cut at {cut}");
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void TryFindEnd_DeviceStateWithoutItsLastByte_AsksForMore(string name)
    {
        var stream = CapturedStream.Load(name);
        var total = stream.Checkpoints[0].Start - 8;
        Assert.False(DeviceState.TryFindEnd(stream.Bytes.AsSpan(stream.First.DeviceStart..(total - 1)), out _, out _));
        Assert.True(DeviceState.TryFindEnd(stream.Bytes.AsSpan(stream.First.DeviceStart..total), out var device, out var found));
        Assert.Equal((stream.First.DeviceBytes, total - stream.First.DeviceStart), (device, found));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Scan_MutatedStream_EndsOrIsRefused(string name)
    {
        var stream = CapturedStream.Load(name);
        var random = new Random(10);
        var head = stream.Bytes.AsSpan(0, 100_000).ToArray();
        for (var round = 0; round < 150; round++)
        {
            var sink = new RecordingSink();
            try
            {
                new RamStreamScanner(expectHeader: true).Scan(Mutation.Of(head, random), ref sink);
            }
            catch (WireFormatException)
            {
            }
        }
    }

    private static void Replay(CapturedStream stream, Func<int> pieceLength)
    {
        var sink = new MemorySink();
        var scanner = new RamStreamScanner(expectHeader: true);
        // The scanner knows the end of the first copy's RAM by the byte after it.
        Assert.Equal(stream.First.RamBytes, Scan(scanner, stream.Bytes.AsSpan(0, stream.First.RamBytes + 1), pieceLength, ref sink));
        Assert.True(scanner.AtDeviceState);
        Assert.Equal(stream.Machine, scanner.MachineType);
        Check(stream.First, scanner, sink);
        foreach (var checkpoint in stream.Checkpoints)
        {
            var before = checkpoint.Start - 8;
            ColoCodec.Expect(stream.Bytes.AsSpan(before), ColoMessage.CheckpointRequest, before);
            ColoCodec.Expect(stream.Bytes.AsSpan(before + 4), ColoMessage.VmstateSend, before + 4);
            scanner.BeginCheckpoint();
            Assert.Equal(checkpoint.RamBytes, Scan(scanner, stream.Bytes.AsSpan(checkpoint.Start), pieceLength, ref sink));
            Assert.True(scanner.AtEnd);
            ColoCodec.Expect(stream.Bytes.AsSpan(checkpoint.DeviceStart), ColoMessage.VmstateSize, checkpoint.DeviceStart);
            Assert.Equal(checkpoint.DeviceBytes, ColoCodec.ReadSize(stream.Bytes.AsSpan(checkpoint.DeviceStart + 4), 1 << 20, 0));
            Check(checkpoint, scanner, sink);
        }
    }

    private static void Check(CapturedStream.Part part, RamStreamScanner scanner, MemorySink sink)
    {
        Assert.Equal((part.Pages, part.ZeroPages), (scanner.Pages, scanner.ZeroPages));
        Assert.Equal(part.RamSha256, Convert.ToHexStringLower(SHA256.HashData(sink.Blocks[CapturedStream.RamBlock])));
    }

    private static int Scan(RamStreamScanner scanner, ReadOnlySpan<byte> bytes, Func<int> pieceLength, ref MemorySink sink)
    {
        var at = 0;
        while (at < bytes.Length && !scanner.AtEnd && !scanner.AtDeviceState)
        {
            at += scanner.Scan(bytes.Slice(at, Math.Min(pieceLength(), bytes.Length - at)), ref sink);
        }
        return at;
    }

    private sealed class MemorySink : IRamSink
    {
        private readonly List<byte[]> _blocks = [];

        public Dictionary<string, byte[]> Blocks { get; } = [];

        public void OnBlock(int block, string name, ulong length)
        {
            _blocks.Add(new byte[length]);
            Blocks[name] = _blocks[block];
        }

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece) =>
            piece.CopyTo(_blocks[block].AsSpan((int)address + offset));

        public void OnZeroPage(int block, ulong address) => _blocks[block].AsSpan((int)address, RamStreamScanner.PageSize).Clear();

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload) => Assert.True(command != 2 || payload.Length == 4);
    }
}
