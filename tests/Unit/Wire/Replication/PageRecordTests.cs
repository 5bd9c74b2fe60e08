using Pollux.Wire;
using Pollux.Wire.Migration;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Wire.Replication;

public class PageRecordTests
{
    private const int Blocks = 3;
    private const int PagesPerBlock = 8;

    [Theory]
    [InlineData(0ul, 0, 0)]
    [InlineData(0x7f_ffff_f000ul, 65535, 0xff)]
    [InlineData(4096ul, 2, 0b1010_0001)]
    public void Header_ThereAndBack_IsTheSame(ulong address, int block, int parts)
    {
        var bytes = new byte[PageRecord.HeaderBytes];
        var record = new PageRecord(address, block, parts);
        record.Write(bytes);
        Assert.Equal(record, PageRecord.Read(bytes));
    }

    [Theory]
    [InlineData(1ul, 0)]
    [InlineData(4095ul, 0xff)]
    [InlineData(0ul, 0x100)]
    [InlineData(0ul, 0xffff)]
    public void Header_AddressOrPartsThatCannotBe_IsRefused(ulong address, int parts)
    {
        var bytes = new byte[PageRecord.HeaderBytes];
        new PageRecord(address, 0, parts).Write(bytes);
        Assert.Throws<WireFormatException>(() => PageRecord.Read(bytes));
    }

    [Fact]
    public void Scan_SplitInTwoAtEveryByte_MakesTheSamePages()
    {
        var bytes = Records(new Random(1), 6);
        var whole = new Memory();
        new PageRecordScanner().Scan(bytes, ref whole);
        for (var cut = 0; cut <= bytes.Length; cut++)
        {
            var split = new Memory();
            var scanner = new PageRecordScanner();
            scanner.Scan(bytes.AsSpan(0, cut), ref split);
            scanner.Scan(bytes.AsSpan(cut), ref split);
            Assert.True(scanner.AtEnd);
            Assert.True(split.Bytes.AsSpan().SequenceEqual(whole.Bytes), $"cut at {cut}");
        }
    }

    [Fact]
    public void Scan_ByteByByte_MakesTheSamePages()
    {
        var bytes = Records(new Random(2), 40);
        var whole = new Memory();
        new PageRecordScanner().Scan(bytes, ref whole);
        var split = new Memory();
        var scanner = new PageRecordScanner();
        foreach (var b in bytes)
        {
            scanner.Scan([b], ref split);
        }
        Assert.True(scanner.AtEnd);
        Assert.Equal(whole.Bytes, split.Bytes);
    }

    [Fact]
    public void Scan_CutShortAnywhere_IsNotAtItsEnd()
    {
        var bytes = Records(new Random(3), 1, parts: 0b11);
        for (var length = 1; length < bytes.Length; length++)
        {
            var memory = new Memory();
            var scanner = new PageRecordScanner();
            scanner.Scan(bytes.AsSpan(0, length), ref memory);
            Assert.False(scanner.AtEnd);
        }
    }

    [Fact]
    public void Scan_MutatedRecords_StaysInsideAPageOrIsRefused()
    {
        var random = new Random(11);
        for (var round = 0; round < 20_000; round++)
        {
            var memory = new Memory { Lenient = true };
            try
            {
                new PageRecordScanner().Scan(Mutation.Of(Records(random, 3), random), ref memory);
            }
            catch (WireFormatException)
            {
            }
        }
    }

    private static byte[] Records(Random random, int count, int? parts = null)
    {
        var bytes = new List<byte>();
        for (var i = 0; i < count; i++)
        {
            var record = new PageRecord((ulong)random.Next(PagesPerBlock) * PageRecord.PageBytes, random.Next(Blocks), parts ?? random.Next(256));
            var text = new byte[PageRecord.HeaderBytes + record.ContentBytes];
            random.NextBytes(text);
            record.Write(text);
            bytes.AddRange(text);
        }
        return [.. bytes];
    }

    /// <summary>Blocks of ones, so that zero pages show.</summary>
    private struct Memory : IRamSink
    {
        public Memory()
        {
        }

        public byte[] Bytes { get; } = [.. Enumerable.Repeat((byte)1, Blocks * PagesPerBlock * PageRecord.PageBytes)];
        public bool Lenient { get; init; }

        public readonly void OnBlock(int block, string name, ulong length) => Assert.Fail("no block is listed");

        public readonly void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
        {
            Assert.InRange(offset, 0, PageRecord.PageBytes - piece.Length);
            if (!Lenient)
            {
                piece.CopyTo(Page(block, address)[offset..]);
            }
        }

        public readonly void OnZeroPage(int block, ulong address)
        {
            if (!Lenient)
            {
                Page(block, address).Clear();
            }
        }

        public readonly void OnCommand(ushort command, ReadOnlySpan<byte> payload) => Assert.Fail("no command is sent");

        private readonly Span<byte> Page(int block, ulong address) =>
            Bytes.AsSpan((int)(((block * PagesPerBlock) + (int)(address / PageRecord.PageBytes)) * PageRecord.PageBytes), PageRecord.PageBytes);
    }
}
