using Pollux.Wire;
using Pollux.Wire.Colo;

namespace Pollux.Unit.Tests.Wire.Colo;

public class ColoCodecTests
{
    [Fact]
    public void Read_EveryMessage_IsTheOneWritten()
    {
        foreach (var message in Enum.GetValues<ColoMessage>())
        {
            var bytes = new byte[ColoCodec.MessageLength];
            ColoCodec.Write(bytes, message);
            Assert.Equal(message, ColoCodec.Read(bytes, 0));
            ColoCodec.Expect(bytes, message, 0);
        }
    }

    [Fact]
    public void Write_VmstateLoaded_IsBigEndian()
    {
        var bytes = new byte[4];
        ColoCodec.Write(bytes, ColoMessage.VmstateLoaded);
        Assert.Equal([0, 0, 0, 6], bytes);
    }

    [Theory]
    [InlineData(0, 0, 0, 7)]
    [InlineData(1, 0, 0, 0)]
    [InlineData(255, 255, 255, 255)]
    public void Read_NumberThatIsNoMessage_NamesItsOffset(byte a, byte b, byte c, byte d)
    {
        var e = Assert.Throws<WireFormatException>(() => ColoCodec.Read([a, b, c, d], 4711));
        Assert.Equal(4711, e.Offset);
    }

    [Fact]
    public void Expect_AnotherMessage_NamesBoth()
    {
        var e = Assert.Throws<WireFormatException>(() => ColoCodec.Expect([0, 0, 0, 2], ColoMessage.VmstateSend, 0));
        Assert.Contains("expected VmstateSend, found CheckpointReply", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ReadSize_UpToTheLimit_IsTaken() => Assert.Equal(256, ColoCodec.ReadSize([0, 0, 0, 0, 0, 0, 1, 0], 256, 0));

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0, 0, 0, 1, 1 })]
    [InlineData(new byte[] { 0x80, 0, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 255, 255, 255, 255, 255, 255, 255, 255 })]
    public void ReadSize_BeyondTheLimit_IsRefused(byte[] size) =>
        Assert.Throws<WireFormatException>(() => ColoCodec.ReadSize(size, 256, 0));
}
