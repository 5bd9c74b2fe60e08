using System.Text.Json;
using System.Xml.Linq;
using Pollux.Lab.Bench;
using Pollux.Lab.Bench.Migration;
using Pollux.Migration;

namespace Pollux.Unit.Tests.Lab.Bench;

public sealed class MigrationReportTests
{
    private static readonly BenchHost Host = new("cpu", 2, 1, "kernel", "runtime", 0, DateTimeOffset.UnixEpoch, "commit");

    private static IEnumerable<MigrationRun> Runs(
        string policy, double seconds, double mb, double? pauseMs, bool succeeded = true, RunKind kind = RunKind.Measured, string guest = "rewrite-2x") =>
        Enumerable.Range(1, 5).Select(n => new MigrationRun(
            policy, guest, 128, succeeded, seconds + (0.001 * n), (long)(mb * 1e6), pauseMs, kind, 1500, policy == "relaxed" ? 1200 : null, null, null, n, "why"));

    private static MigrationReport Report(params IEnumerable<MigrationRun>[] runs) => MigrationReport.Of(Host, "7.2", false, [.. runs.SelectMany(r => r)], ["redis at 512 MB/s: no time"]);

    private static MigrationReport Good() => Report(
        Runs("stock", 60, 7500, null, succeeded: false), Runs("mp", 2, 340, 1300), Runs("relaxed", 3, 450, 1200), Runs("capped", 2, 345, 1400), Runs("doubling", 20, 2000, 1200), Runs("ramp", 60, 7000, null, succeeded: false));

    [Fact]
    public void GoodRuns_MeetEveryGoal()
    {
        var goals = Good().Goals;

        Assert.All(goals, g => Assert.True(g.IsMet, $"{g.What}: {g.Seen}"));
        Assert.Equal(1 + 2 + 2 + 1 + 2 + 1, goals.Count);
    }

    [Theory]
    [InlineData(2.5, 340, 1300, "at least 22 % less time than relaxed")]
    [InlineData(2, 380, 1300, "at least 19 % less data than relaxed")]
    [InlineData(2.2, 340, 1300, "no more time than capped")]
    [InlineData(2, 360, 1300, "no more data than capped")]
    [InlineData(2, 340, 1501, "pause ≤ 1,500 ms")]
    [InlineData(30, 340, 1300, "less time than doubling")]
    [InlineData(2, 2001, 1300, "less data than doubling")]
    public void WorseMp_MissesThatGoal(double seconds, double mb, double pauseMs, string goal)
    {
        var report = MigrationReport.Of(Host, "7.2", false, [.. Good().Runs.Where(r => r.Policy != "mp"), .. Runs("mp", seconds, mb, pauseMs)], []);

        Assert.Contains(report.Goals, g => !g.IsMet && g.What.Contains(goal, StringComparison.Ordinal));
        Assert.Contains(goal, MigrationDocument.Verdict(report.Goals), StringComparison.Ordinal);
    }

    [Fact]
    public void MpThatFailsOnce_MissesItsSuccess()
    {
        var report = MigrationReport.Of(Host, "7.2", false, [.. Good().Runs, .. Runs("mp", 60, 340, null, succeeded: false).Take(1)], []);

        Assert.Contains(report.Goals, g => !g.IsMet && g.What.Contains("always succeeds", StringComparison.Ordinal) && g.Seen.StartsWith("5 of 6", StringComparison.Ordinal));
        // What it needed is told of those that ended.
        Assert.InRange(report.Rows.Single(r => r.Policy == "mp").TotalSeconds.Most, 2, 2.1);
    }

    [Fact]
    public void GuestThatStockMoves_IsNotHeldAgainstRelaxed() =>
        Assert.DoesNotContain(Report(Runs("stock", 2, 270, 60), Runs("mp", 2, 270, 60), Runs("relaxed", 2, 270, 60)).Goals, g => g.What.Contains("relaxed", StringComparison.Ordinal));

    [Fact]
    public void PolicyThatNeverEnded_IsShownByItsLongestRun()
    {
        var report = Report(Runs("stock", 30, 3800, null, succeeded: false).Take(1), Runs("stock", 4, 500, null, succeeded: false));

        Assert.Equal((30, 30), (Math.Round(report.Rows.Single().TotalSeconds.Least), Math.Round(report.Rows.Single().TotalSeconds.Most)));
    }

    [Fact]
    public void Stock_IsCutSoon_OnlyWhereItHasNeverEnded()
    {
        var settings = MigrationBenchSettings.Full("qemu");

        Assert.Equal((settings.StockCut.First, settings.StockCut.Again), (settings.CutOf("stock", hasNeverEnded: false), settings.CutOf("stock", hasNeverEnded: true)));
        Assert.Equal(settings.Cut, settings.CutOf("mp", hasNeverEnded: true));
    }

    [Fact]
    public void ReplayedRuns_StandApart()
    {
        var report = Report(Runs("mp", 2, 340, 1300), Runs("mp", 9, 340, 1300, kind: RunKind.Replayed));

        Assert.Equal([RunKind.Measured, RunKind.Replayed], report.Rows.Select(r => r.Kind));
        Assert.Contains("## Replayed, 128 MB/s", MigrationDocument.Files(report)[0].Content, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_AreThePageAndThePlotsItShows()
    {
        var files = MigrationDocument.Files(Good());

        Assert.Equal(["migration.md", "migration-time-128.svg", "migration-data-128.svg", "migration-pause-128.svg"], files.Select(f => f.Name));
        Assert.All(files.Skip(1), f => Assert.Contains($"]({f.Name})", files[0].Content, StringComparison.Ordinal));
        Assert.Contains("| relaxed (1,200 ms) | 5 of 5 | 3 (3–3.01) | 450 | 1,200 |  |", files[0].Content, StringComparison.Ordinal);
        Assert.Contains("| stock | 0 of 5 | > 60 | > 7,500 |  |", files[0].Content, StringComparison.Ordinal);
        Assert.Contains("- redis at 512 MB/s: no time", files[0].Content, StringComparison.Ordinal);
        // Ramp never ended, so its pause has no bar: the ground, four bars, four squares of the legend.
        Assert.Equal(1 + 4 + 4, XDocument.Parse(files[3].Content).Descendants(XName.Get("rect", "http://www.w3.org/2000/svg")).Count());
    }

    [Fact]
    public void Json_IsAnArray_WithTheMembersThatWereAskedFor()
    {
        var json = JsonSerializer.Serialize(Good().Runs, MigrationJson.Default.IReadOnlyListMigrationRun);

        using var read = JsonDocument.Parse(json);
        var first = read.RootElement.EnumerateArray().First();
        Assert.Equal(["policy", "guest", "linkMBps", "succeeded", "totalSeconds", "sentBytes", "pauseMs"], first.EnumerateObject().Take(7).Select(m => m.Name));
        Assert.Equal(JsonValueKind.Null, first.GetProperty("pauseMs").ValueKind);
        Assert.Equal("measured", first.GetProperty("kind").GetString());
        Assert.Equal(30, read.RootElement.GetArrayLength());
    }
}
