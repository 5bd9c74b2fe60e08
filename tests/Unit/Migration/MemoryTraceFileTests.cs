using System.Text;
using Pollux.Core;
using Pollux.Migration.Replay;

namespace Pollux.Unit.Tests.Migration;

public sealed class MemoryTraceFileTests
{
    private static readonly MemoryTrace Trace = new(
        "redis", "synthetic", 100, 3, [256, 0, 7], [new TraceStep([new WrittenGroup(0, 12, null), new WrittenGroup(2, 3, 40)]), new TraceStep([])]);

    [Theory]
    [InlineData("trace.json")]
    [InlineData("trace.json.gz")]
    public void Trace_WrittenAndRead_IsTheSame(string name)
    {
        var directory = Directory.CreateTempSubdirectory("pollux-trace-");
        var path = Path.Combine(directory.FullName, name);
        MemoryTraceFile.Write(path, Trace);

        var read = MemoryTraceFile.Read(path);
        directory.Delete(recursive: true);

        Assert.Equal((Trace.Guest, Trace.Source, Trace.StepMs, Trace.Groups), (read.Guest, read.Source, read.StepMs, read.Groups));
        Assert.Equal(Trace.UsedPages, read.UsedPages);
        Assert.Equal(Trace.Steps.Select(s => s.Written), read.Steps.Select(s => s.Written));
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"guest":"g","source":"s","stepMs":0,"groups":1,"usedPages":[1],"steps":[[]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":2,"usedPages":[1],"steps":[[]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":1,"usedPages":[257],"steps":[[]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":1,"usedPages":[1],"steps":[[0,1]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":1,"usedPages":[1],"steps":[[1,1,-1]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":1,"usedPages":[1],"steps":[[0,0,-1]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":1,"usedPages":[1],"steps":[[0,1,256]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":2,"usedPages":[1,1],"steps":[[1,1,-1,0,1,-1]]}""")]
    [InlineData("""{"guest":"g","source":"s","stepMs":100,"groups":1,"usedPages":[1],"steps":[null]}""")]
    public void File_ThatIsNoTrace_IsRefusedByName(string json)
    {
        var refused = Assert.Throws<PolluxException>(() => MemoryTraceFile.Read(new MemoryStream(Encoding.UTF8.GetBytes(json)), "odd.json"));

        Assert.StartsWith("odd.json is no memory trace", refused.Message, StringComparison.Ordinal);
    }
}
