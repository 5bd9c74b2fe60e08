using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Wire.Replication;

public class FrameTests
{
    [Fact]
    public void Read_EveryTypeOfFrame_IsTheOneWritten()
    {
        foreach (var type in Enum.GetValues<FrameType>())
        {
            var header = new FrameHeader(type, FrameHeader.MaxPayloadBytes, 0xdeadbeef, long.MaxValue - (byte)type);
            Assert.Equal(header, FrameHeader.Read(Write(header)));
        }
    }

    [Fact]
    public void Read_AnyBitOfTheHeaderFlipped_IsRefused()
    {
        var bytes = Write(new FrameHeader(FrameType.Ram, 1000, 1, 2));
        for (var bit = 0; bit < 28 * 8; bit++)
        {
            var spoilt = bytes.ToArray();
            spoilt[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<WireFormatException>(() => FrameHeader.Read(spoilt));
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData(FrameHeader.MaxPayloadBytes + 1)]
    public void Read_LengthBeyondTheLimit_IsRefused(int length) =>
        Assert.Throws<WireFormatException>(() => FrameHeader.Read(Write(new FrameHeader(FrameType.Ram, length, 0, 0))));

    [Fact]
    public void Read_AnotherVersion_NamesBoth()
    {
        var bytes = Write(new FrameHeader(FrameType.Ram, 0, 0, 0));
        bytes[4] = 9;
        var e = Assert.Throws<WireFormatException>(() => FrameHeader.Read(bytes));
        Assert.Contains("has version 9, this keeper speaks 1", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void CheckPayload_AnotherPayload_IsRefused()
    {
        var header = new FrameHeader(FrameType.Ram, 3, Crc32C.Of([1, 2, 3]), 0);
        header.CheckPayload([1, 2, 3]);
        Assert.Throws<WireFormatException>(() => header.CheckPayload([1, 2, 4]));
    }

    [Fact]
    public void Crc32C_CheckString_IsTheStandardsValue() => Assert.Equal(0xe3069283u, Crc32C.Of("123456789"u8));

    [Fact]
    public void Crc32C_Nothing_IsZero() => Assert.Equal(0u, Crc32C.Of([]));

    [Fact]
    public void Crc32C_InTwoPiecesAtEveryByte_IsThatOfTheWhole()
    {
        var bytes = MigrationStreamBuilder.Content(4).AsSpan(0, 100).ToArray();
        for (var cut = 0; cut <= bytes.Length; cut++)
        {
            var crc = Crc32C.Continue(Crc32C.Continue(uint.MaxValue, bytes.AsSpan(0, cut)), bytes.AsSpan(cut));
            Assert.Equal(Crc32C.Of(bytes), ~crc);
        }
    }

    private static byte[] Write(FrameHeader header)
    {
        var bytes = new byte[FrameHeader.Bytes];
        header.Write(bytes);
        return bytes;
    }
}
