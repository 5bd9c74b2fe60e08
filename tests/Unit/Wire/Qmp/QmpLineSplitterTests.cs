using System.Text;
using Pollux.Wire;
using Pollux.Wire.Qmp;

namespace Pollux.Unit.Tests.Wire.Qmp;

public class QmpLineSplitterTests
{
    private static readonly byte[] Stream = "{\"a\":1}\r\n\r\n{\"b\":\"ü\"}\n\n{\"c\":3}\r\n"u8.ToArray();
    private static readonly string[] Lines = ["{\"a\":1}", "{\"b\":\"ü\"}", "{\"c\":3}"];

    [Fact]
    public void TryReadLine_CutInTwoAtEveryByte_GivesTheSameLines()
    {
        for (var cut = 0; cut <= Stream.Length; cut++)
        {
            var splitter = new QmpLineSplitter();
            var lines = new List<string>();
            Feed(splitter, Stream.AsSpan(0, cut), lines);
            Feed(splitter, Stream.AsSpan(cut), lines);
            Assert.Equal(Lines, lines);
        }
    }

    [Fact]
    public void TryReadLine_ByteByByte_GivesTheSameLines()
    {
        var splitter = new QmpLineSplitter();
        var lines = new List<string>();
        foreach (var b in Stream)
        {
            Feed(splitter, [b], lines);
        }
        Assert.Equal(Lines, lines);
    }

    [Fact]
    public void TryReadLine_LineLongerThanTheBuffer_IsWhole()
    {
        // query-qmp-schema answers with 207 KB in one line.
        var text = $"{{\"return\":\"{new string('x', 300_000)}\"}}";
        var lines = new List<string>();
        Feed(new QmpLineSplitter(), Encoding.UTF8.GetBytes($"{{}}\n{text}\r\n{{}}\n"), lines);
        Assert.Equal(["{}", text, "{}"], lines);
    }

    [Fact]
    public void TryReadLine_LineWithoutAnEnd_IsRefusedBeforeItFillsMemory()
    {
        var splitter = new QmpLineSplitter(maxLineBytes: 100_000);
        long fed = 0;
        var e = Assert.Throws<WireFormatException>(() =>
        {
            for (; fed < 1 << 20; fed += 1000)
            {
                Feed(splitter, Encoding.UTF8.GetBytes(new string('x', 1000)), []);
            }
        });
        Assert.Equal(101_000, fed + 1000);
        Assert.Equal(0, e.Offset);
    }

    [Fact]
    public void TryReadLine_ManyLines_KeepsItsBufferSmall()
    {
        var splitter = new QmpLineSplitter();
        for (var i = 0; i < 10_000; i++)
        {
            Feed(splitter, "{\"event\":\"RTC_CHANGE\"}\r\n"u8, []);
        }
        Assert.InRange(splitter.GetMemory().Length, 1, 64 << 10);
    }

    private static void Feed(QmpLineSplitter splitter, ReadOnlySpan<byte> bytes, List<string> lines)
    {
        while (!bytes.IsEmpty)
        {
            var memory = splitter.GetMemory().Span;
            var count = Math.Min(memory.Length, bytes.Length);
            bytes[..count].CopyTo(memory);
            splitter.Advance(count);
            bytes = bytes[count..];
            while (splitter.TryReadLine(out var line))
            {
                lines.Add(Encoding.UTF8.GetString(line));
            }
        }
    }
}
