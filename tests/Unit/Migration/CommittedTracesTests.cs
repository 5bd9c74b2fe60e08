using Pollux.Lab.Bench.Migration;
using Pollux.Migration.Replay;

namespace Pollux.Unit.Tests.Migration;

/// <summary>The recorded traces that are kept as data.</summary>
public sealed class CommittedTracesTests
{
    private const int MostBytes = 300 << 10;

    [Fact]
    public void CommittedTraces_AreSmallReadableAndSomeAreHeldBack()
    {
        var files = Directory.GetFiles(MigrationTraces.Directory, "*.json.gz");
        Assert.Contains(files, f => Path.GetFileName(f).StartsWith("tuning-", StringComparison.Ordinal));
        Assert.Contains(files, f => Path.GetFileName(f).StartsWith("held-back-", StringComparison.Ordinal));
        foreach (var file in files)
        {
            Assert.InRange(new FileInfo(file).Length, 1, MostBytes);
            var trace = MemoryTraceFile.Read(file);
            Assert.EndsWith($"-{trace.Guest}.json.gz", file, StringComparison.Ordinal);
            Assert.StartsWith("recorded ", trace.Source, StringComparison.Ordinal);
        }
    }
}
