using System.Text;
using Pollux.Lab.Load;

namespace Pollux.Unit.Tests.Lab.Load;

public sealed class RespTests
{
    [Theory]
    [InlineData("+OK\r\n")]
    [InlineData("-ERR no such command\r\n")]
    [InlineData(":-42\r\n")]
    [InlineData("$5\r\nhello\r\n")]
    [InlineData("$2\r\n\r\n\r\n")]
    [InlineData("$-1\r\n")]
    [InlineData("*3\r\n$1\r\na\r\n$-1\r\n:7\r\n")]
    public void TryRead_SplitAtEveryByte_WaitsAndThenReadsAll(string text)
    {
        var bytes = Encoding.Latin1.GetBytes(text);

        for (var length = 0; length < bytes.Length; length++)
        {
            Assert.Null(Resp.TryRead(bytes.AsSpan(0, length), out _));
        }
        Assert.NotNull(Resp.TryRead([.. bytes, .. "+NEXT\r\n"u8], out var consumed));
        Assert.Equal(bytes.Length, consumed);
    }

    [Fact]
    public void TryRead_OfEachKind_GivesItsValue()
    {
        Assert.Equal(new RespReply.Status("OK"), Resp.TryRead("+OK\r\n"u8, out _));
        Assert.Equal(new RespReply.Error("ERR x"), Resp.TryRead("-ERR x\r\n"u8, out _));
        Assert.Equal(new RespReply.Integer(12), Resp.TryRead(":12\r\n"u8, out _));
        Assert.Equal(new RespReply.Bulk("a\r\nb"), Resp.TryRead("$4\r\na\r\nb\r\n"u8, out _));
        Assert.Equal(new RespReply.Bulk(null), Resp.TryRead("$-1\r\n"u8, out _));
        var many = Assert.IsType<RespReply.Many>(Resp.TryRead("*2\r\n:1\r\n$1\r\nx\r\n"u8, out _));
        Assert.Equal([new RespReply.Integer(1), new RespReply.Bulk("x")], many.Replies);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\n")]
    [InlineData("\r\n")]
    [InlineData(":twelve\r\n")]
    [InlineData("$-7\r\n")]
    [InlineData("$99999999999\r\n")]
    [InlineData("*-1\r\n")]
    [InlineData("$3\r\nabcde\r\n")]
    public void TryRead_OfWhatNoServerSends_Complains(string text) =>
        Assert.Throws<RespFormatException>(() => Resp.TryRead(Encoding.Latin1.GetBytes(text), out _));

    [Fact]
    public void Command_IsAnArrayOfBulkStrings() =>
        Assert.Equal("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", Encoding.Latin1.GetString(Resp.Command("GET", "k")));
}
