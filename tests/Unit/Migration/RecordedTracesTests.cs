using Pollux.Lab.Bench.Migration;
using Pollux.Migration;
using Pollux.Migration.Policies;
using Pollux.Migration.Replay;

namespace Pollux.Unit.Tests.Migration;

/// <summary>MP beside capped on what real guests wrote. What docs/live-migration.md says of them is seen here.</summary>
public sealed class RecordedTracesTests
{
    private const double Link = 128e6;
    private const double Allowed = 1500;
    private const double Tolerance = 1.05;

    public static TheoryData<string> Traces => new(Directory.EnumerateFiles(MigrationTraces.Directory, "*.json.gz").Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Traces))]
    public void Mp_OnARecordedGuest_KeepsThePause_AndNeedsNoMoreThanCapped(string file)
    {
        var trace = MemoryTraceFile.Read(Path.Combine(MigrationTraces.Directory, file));
        var (mp, capped) = (Runs(new MpPolicy(), trace), Runs(FixedLimitPolicy.Capped(), trace));

        Assert.All(mp, r => Assert.True(r.Succeeded, r.Why));
        Assert.All(mp, r => Assert.InRange(r.PauseMs!.Value, 1, Allowed));
        // Of a guest that becomes busy after it was taken for quiet more is sent: a known weakness.
        if (!file.Contains("phases", StringComparison.Ordinal))
        {
            Assert.InRange(Median(mp, r => r.TotalSeconds), 0.1, Tolerance * Median(capped, r => r.TotalSeconds));
            Assert.InRange(Median(mp, r => r.SentBytes), 1e6, Tolerance * Median(capped, r => r.SentBytes));
        }
    }

    [Fact]
    public void Mp_OnTheRecordedIdleGuest_PausesItForLessThanAQuarterOfCappeds()
    {
        var trace = MemoryTraceFile.Read(Path.Combine(MigrationTraces.Directory, "tuning-idle.json.gz"));

        Assert.True(Median(Runs(new MpPolicy(), trace), r => r.PauseMs!.Value) < 0.25 * Median(Runs(FixedLimitPolicy.Capped(), trace), r => r.PauseMs!.Value));
    }

    private static double Median(IEnumerable<MigrationRun> runs, Func<MigrationRun, double> figure) => runs.Select(figure).Order().ElementAt(1);

    private static IReadOnlyList<MigrationRun> Runs(IMigrationPolicy policy, MemoryTrace trace) =>
        [.. Enumerable.Range(1, 3).Select(seed => MigrationReplay.Run(policy, new MigrationTerms(trace.RamBytes, Allowed, 60_000, Link, 50, WhenLonger.Wait), trace, Link, seed, seed))];
}
