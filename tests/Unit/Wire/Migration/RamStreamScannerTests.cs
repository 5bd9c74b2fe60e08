using Pollux.Wire;
using Pollux.Wire.Migration;

namespace Pollux.Unit.Tests.Wire.Migration;

public class RamStreamScannerTests
{
    private const uint Section = 2;

    private static readonly byte[] Initial = new MigrationStreamBuilder()
        .Head("pc-i440fx-7.2", "x-colo", "return-path")
        .Byte(5).Name("configuration/target-page-bits").U32(1).U32(12)
        .Byte(5).Name("configuration/uuid").U32(1).Raw(new byte[16])
        .Command(2, 0, 0, 0, 1)
        .RamStart(Section, withAddresses: false, ("pc.ram", 8 * 4096), ("pc.rom", 4096), ("small", 4096)).EndOfSection(Section)
        .RamPart(Section).Page("pc.ram", 0, MigrationStreamBuilder.Content(1)).Page(null, 4096, MigrationStreamBuilder.Content(2))
        .ZeroPage(null, 2 * 4096).EndOfSection(Section)
        .RamPart(Section).ZeroPage("pc.rom", 0).U64(0x200).Page("small", 0, MigrationStreamBuilder.Content(3)).EndOfSection(Section)
        .Command(11)
        .RamEnd(Section).Page("pc.ram", 7 * 4096, MigrationStreamBuilder.Content(4)).EndOfSection(Section)
        .ToArray();

    private static readonly byte[] Checkpoint = new MigrationStreamBuilder()
        .RamPart(Section).Page(null, 3 * 4096, MigrationStreamBuilder.Content(5)).EndOfSection(Section)
        .RamEnd(Section).ZeroPage("pc.rom", 0).Page("pc.ram", 0, MigrationStreamBuilder.Content(6)).EndOfSection(Section)
        .Eof().ToArray();

    [Fact]
    public void Scan_InitialStream_FindsEverythingAndStopsBeforeTheFirstDeviceSection()
    {
        var (scanner, sink, consumed) = ScanWhole([.. Initial, 4, 0, 0]);

        Assert.Equal(Initial.Length, consumed);
        Assert.True(scanner.AtDeviceState);
        Assert.Equal("pc-i440fx-7.2", scanner.MachineType);
        Assert.Equal([new RamBlock("pc.ram", 8 * 4096), new RamBlock("pc.rom", 4096), new RamBlock("small", 4096)], scanner.Blocks);
        Assert.Equal((4, 2), (scanner.Pages, scanner.ZeroPages));
        Assert.Equal(
            ["command 2 00000001", "block 0 pc.ram 32768", "block 1 pc.rom 4096", "block 2 small 4096"], sink.Found[..4]);
        Assert.Equal(["zero 0 2000", "zero 1 0"], sink.Found.Where(f => f.StartsWith("zero", StringComparison.Ordinal)));
        Assert.Equal("command 11 ", sink.Found[^2]);
    }

    [Fact]
    public void Scan_CutInTwoAtEveryByte_FindsTheSame()
    {
        byte[] whole = [.. Initial, 4];
        var expected = ScanWhole(whole).Sink.Found;
        for (var cut = 0; cut <= whole.Length; cut++)
        {
            var scanner = new RamStreamScanner(expectHeader: true);
            var sink = new RecordingSink();
            var consumed = scanner.Scan(whole.AsSpan(0, cut), ref sink);
            consumed += scanner.Scan(whole.AsSpan(consumed), ref sink);
            Assert.Equal(Initial.Length, consumed);
            Assert.True(scanner.AtDeviceState);
            Assert.True(expected.SequenceEqual(sink.Found), $"cut at {cut}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(4095)]
    [InlineData(4104)]
    public void Scan_StreamAndCheckpointInPieces_FindsTheSame(int pieceLength)
    {
        var (scanner, expected, _) = ScanWhole([.. Initial, 4]);
        scanner.BeginCheckpoint();
        Assert.Equal(Checkpoint.Length, scanner.Scan(Checkpoint, ref expected));

        scanner = new RamStreamScanner(expectHeader: true);
        var sink = new RecordingSink();
        ScanPieces(scanner, sink, [.. Initial, 4], pieceLength);
        scanner.BeginCheckpoint();
        ScanPieces(scanner, sink, Checkpoint, pieceLength);

        Assert.True(scanner.AtEnd);
        Assert.Equal((2, 1), (scanner.Pages, scanner.ZeroPages));
        Assert.Equal(expected.Found, sink.Found);
    }

    [Fact]
    public void Scan_BytesAfterTheEndOfACheckpoint_AreLeft()
    {
        var scanner = CheckpointScanner();
        var sink = new RecordingSink();
        var own = new MigrationStreamBuilder().RamEnd(Section).ZeroPage("pc.ram", 0).EndOfSection(Section).Eof().ToArray();
        Assert.Equal(own.Length, scanner.Scan([.. own, 1, 2, 3], ref sink));
        Assert.Equal(0, scanner.Scan([1, 2, 3], ref sink));
        Assert.True(scanner.AtEnd);
    }

    [Fact]
    public void Scan_CheckpointByAScannerThatWasGivenItsBlocks_FindsTheirPages()
    {
        var scanner = CheckpointScanner();
        var sink = new RecordingSink();
        scanner.Scan(new MigrationStreamBuilder().RamEnd(77).ZeroPage("pc.rom", 0).EndOfSection(77).Eof().ToArray(), ref sink);
        Assert.Equal(["zero 1 0"], sink.Found);
    }

    [Fact]
    public void BeginCheckpoint_InsideAStream_IsRefused()
    {
        var scanner = CheckpointScanner();
        Assert.Throws<InvalidOperationException>(scanner.BeginCheckpoint);
    }

    public static TheoryData<string, byte[], int> Malformed => new()
    {
        { "the header", new MigrationStreamBuilder().Raw("QEVX"u8).U32(3).ToArray(), 0 },
        { "the header", new MigrationStreamBuilder().Raw("QEVM"u8).U32(2).ToArray(), 0 },
        { "configuration section", new MigrationStreamBuilder().Raw("QEVM"u8).U32(3).Byte(1).ToArray(), 8 },
        { "machine type", new MigrationStreamBuilder().Raw("QEVM"u8).U32(3).Byte(7).U32(uint.MaxValue).ToArray(), 9 },
        { "at most 255 capabilities", Headed().Byte(5).Name("configuration/capabilities").U32(1).U32(256).ToArray(), -1 },
        { "known subsection", Headed().Byte(5).Name("configuration/new").ToArray(), -1 },
        { "pages of 4096", Headed().Byte(5).Name("configuration/target-page-bits").U32(1).U32(16).ToArray(), -1 },
        { "device section, found section type 4", Headed().Byte(4).ToArray(), -1 },
        { "the section 'ram'", Headed().Byte(1).U32(2).Name("dirty-bitmap").ToArray(), -1 },
        { "version 4", Headed().Byte(1).U32(2).Name("ram").U32(0).U32(5).ToArray(), -1 },
        { "each block once", Headed().RamStart(2, false, ("a", 4096), ("a", 4096)).ToArray(), -1 },
        { "a block of 1 to", Headed().Byte(1).U32(2).Name("ram").U32(0).U32(4).U64(4096 | 4).Name("a").U64(8192).ToArray(), -1 },
        { "a block of 1 to", Headed().Byte(1).U32(2).Name("ram").U32(0).U32(4).U64(4096 | 4).Name("a").U64(0).ToArray(), -1 },
        { "name of a block that was listed", Started().ZeroPage("b", 0).ToArray(), -1 },
        { "block before its first page", Started().ZeroPage(null, 0).ToArray(), -1 },
        { "inside block 'a' of 4096", Started().ZeroPage("a", 4096).ToArray(), -1 },
        { "inside block 'a' of 4096", Started().ZeroPage("a", 0xffff_ffff_ffff_f000).ToArray(), -1 },
        { "zero that a zero page repeats", Started().U64(2).Name("a").Byte(1).ToArray(), -1 },
        { "XBZRLE", Started().U64(0x40).ToArray(), -1 },
        { "flags 0x80", Started().U64(0x80).ToArray(), -1 },
        { "a list of blocks", Started().U64(4096 | 4).ToArray(), -1 },
        { "footer of section 2", Started().EndOfSection(3).ToArray(), -1 },
        { "section 2 (ram)", Started().EndOfSection(2).RamPart(3).ToArray(), -1 },
        { "command of at most 256", Headed().Byte(8).U16(5).U16(257).ToArray(), -1 },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void Scan_MalformedStream_SaysWhatWasExpectedAndWhere(string says, byte[] stream, int offset)
    {
        var scanner = new RamStreamScanner(expectHeader: true);
        var sink = new RecordingSink();
        var e = Assert.Throws<WireFormatException>(() => scanner.Scan(stream, ref sink));
        Assert.Contains(says, e.Message, StringComparison.Ordinal);
        Assert.InRange(e.Offset, 0, stream.Length - 1);
        if (offset >= 0)
        {
            Assert.Equal(offset, e.Offset);
        }
        Assert.Throws<InvalidOperationException>(() => scanner.Scan(stream, ref sink));
    }

    [Fact]
    public void Scan_MalformedStreamCutAtEveryByte_NamesTheSameOffset()
    {
        var stream = Started().ZeroPage("a", 0).Page("a", 0, MigrationStreamBuilder.Content(1)).EndOfSection(3).ToArray();
        for (var cut = 0; cut < stream.Length; cut++)
        {
            var scanner = new RamStreamScanner(expectHeader: true);
            var sink = new RecordingSink();
            scanner.Scan(stream.AsSpan(0, cut), ref sink);
            var e = Assert.Throws<WireFormatException>(() => scanner.Scan(stream.AsSpan(cut), ref sink));
            Assert.Equal(stream.Length - 5, e.Offset);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Scan_MutatedStreams_EndOrAreRefusedWithoutAnotherException(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 700; round++)
        {
            var stream = Mutation.Of([.. Initial, 4], random);
            var scanner = new RamStreamScanner(expectHeader: true);
            var sink = new RecordingSink();
            try
            {
                ScanPieces(scanner, sink, stream, random.Next(1, 6000));
            }
            catch (WireFormatException)
            {
            }
            Assert.True(sink.Found.Count <= stream.Length, "it found no more than there are bytes");
        }
    }

    [Fact]
    public void Scan_OrdinaryPages_AllocatesNothing()
    {
        var builder = new MigrationStreamBuilder().RamEnd(Section).Page("pc.ram", 0, MigrationStreamBuilder.Content(1));
        for (var i = 0; i < 256; i++)
        {
            builder.Page(null, (ulong)(i % 8) * 4096, MigrationStreamBuilder.Content(i)).ZeroPage(null, 0);
        }
        var stream = builder.EndOfSection(Section).Eof().ToArray();
        var scanner = CheckpointScanner();
        var sink = new SilentSink();
        ScanCheckpoint(scanner, stream, ref sink);

        var before = GC.GetAllocatedBytesForCurrentThread();
        scanner.BeginCheckpoint();
        ScanCheckpoint(scanner, stream, ref sink);
        // The footer's and section's checks may build their text's parts; pages may not.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4096);
    }

    private static void ScanCheckpoint(RamStreamScanner scanner, byte[] stream, ref SilentSink sink)
    {
        Assert.Equal(stream.Length, scanner.Scan(stream, ref sink));
        Assert.True(scanner.AtEnd);
    }

    private static MigrationStreamBuilder Headed() => new MigrationStreamBuilder().Head();

    private static MigrationStreamBuilder Started() => Headed().RamStart(2, withAddresses: false, ("a", 4096));

    private static RamStreamScanner CheckpointScanner() =>
        new(expectHeader: false, [new RamBlock("pc.ram", 8 * 4096), new RamBlock("pc.rom", 4096)]);

    private static (RamStreamScanner Scanner, RecordingSink Sink, int Consumed) ScanWhole(byte[] stream)
    {
        var scanner = new RamStreamScanner(expectHeader: true);
        var sink = new RecordingSink();
        return (scanner, sink, scanner.Scan(stream, ref sink));
    }

    private static void ScanPieces(RamStreamScanner scanner, RecordingSink sink, byte[] stream, int pieceLength)
    {
        for (var at = 0; at < stream.Length; at += pieceLength)
        {
            scanner.Scan(stream.AsSpan(at, Math.Min(pieceLength, stream.Length - at)), ref sink);
        }
    }

    private struct SilentSink : IRamSink
    {
        public readonly void OnBlock(int block, string name, ulong length)
        {
        }

        public readonly void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
        {
        }

        public readonly void OnZeroPage(int block, ulong address)
        {
        }

        public readonly void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
        }
    }
}
