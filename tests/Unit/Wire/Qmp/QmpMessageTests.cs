using System.Text;
using System.Text.Json;
using Pollux.Wire;
using Pollux.Wire.Qmp;

namespace Pollux.Unit.Tests.Wire.Qmp;

public class QmpMessageTests
{
    private const string Greeting = """{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}""";
    private const string Event = """{"timestamp": {"seconds": 1700000000, "microseconds": 250000}, "event": "STOP", "data": {"x": 1}}""";

    [Fact]
    public void Parse_Greeting_GivesTheVersion() => Assert.Equal(new QmpMessage.Greeting("7.2.22"), QmpMessage.Parse(Bytes(Greeting)));

    [Fact]
    public void Parse_Return_GivesIdAndValue()
    {
        var message = Assert.IsType<QmpMessage.Return>(QmpMessage.Parse("""{"return": {"running": true}, "id": 9007199254740993}"""u8));
        Assert.Equal(9007199254740993, message.Id);
        Assert.True(message.Value.GetProperty("running").GetBoolean());
    }

    [Theory]
    [InlineData("""{"return": {}}""")]
    [InlineData("""{"return": {}, "id": "mine"}""")]
    [InlineData("""{"return": {}, "id": 1.5}""")]
    public void Parse_ReturnWithoutANumberAsId_HasNone(string line) =>
        Assert.Null(Assert.IsType<QmpMessage.Return>(QmpMessage.Parse(Bytes(line))).Id);

    [Fact]
    public void Parse_Error_GivesClassAndDescription() => Assert.Equal(
        new QmpMessage.Error(3, "GenericError", "no such thing"),
        QmpMessage.Parse("""{"id": 3, "error": {"class": "GenericError", "desc": "no such thing"}}"""u8));

    [Fact]
    public void Parse_Event_GivesNameTimeAndData()
    {
        var message = Assert.IsType<QmpMessage.Event>(QmpMessage.Parse(Bytes(Event)));
        Assert.Equal(("STOP", 1_700_000_000_250_000), (message.Name, message.TimestampMicros));
        Assert.Equal(1, message.Data.GetProperty("x").GetInt32());
    }

    [Fact]
    public void Parse_EventWithoutData_HasUndefinedData() => Assert.Equal(
        JsonValueKind.Undefined, Assert.IsType<QmpMessage.Event>(QmpMessage.Parse("""{"event": "RESUME"}"""u8)).Data.ValueKind);

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("[]")]
    [InlineData("3")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"id": 1}""")]
    [InlineData("""{"event": 7}""")]
    [InlineData("""{"event": "\ud800"}""")]
    [InlineData("""{"error": "why"}""")]
    [InlineData("""{"error": {"class": "GenericError"}}""")]
    public void Parse_LineThatIsNone_IsRefused(string line) =>
        Assert.Throws<WireFormatException>(() => QmpMessage.Parse(Bytes(line)));

    [Fact]
    public void Parse_MutatedLines_AreReadOrRefused()
    {
        var random = new Random(5);
        string[] lines = [Greeting, Event, """{"return": {"a": [1, 2, {"b": null}]}, "id": 4}""", """{"id": 3, "error": {"class": "C", "desc": "d"}}"""];
        for (var round = 0; round < 20_000; round++)
        {
            try
            {
                QmpMessage.Parse(Mutation.Of(Bytes(lines[round % lines.Length]), random));
            }
            catch (WireFormatException)
            {
            }
        }
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
