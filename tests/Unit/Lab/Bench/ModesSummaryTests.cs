using System.Xml.Linq;
using Pollux.Lab.Bench;
using Pollux.Lab.Bench.Modes;
using Pollux.Lab.Load;

namespace Pollux.Unit.Tests.Lab.Bench;

public sealed class ModesSummaryTests
{
    private static readonly ModeRun[] Runs =
    [
        Run("Redis, 50 clients", "unprotected", 1, requests: 1000, roundTrip: 1),
        Run("Redis, 50 clients", "unprotected", 2, requests: 2000, roundTrip: 1),
        Run("Redis, 50 clients", "unprotected", 3, requests: 4000, roundTrip: 1),
        Run("Redis, 50 clients", "adaptive", 1, requests: 900, roundTrip: 6, pause: 2),
        Run("Redis, 50 clients", "adaptive", 2, requests: 1000, roundTrip: 7, pause: 3),
        Run("Redis, 50 clients", "adaptive", 3, requests: 3400, roundTrip: 8, pause: 9),
        Run("KVM, rewriting 50 MB/s", "unprotected", 1, work: 1000),
        Run("KVM, rewriting 50 MB/s", "periodic", 1, pause: 2, work: 800),
        Run("KVM, rewriting 50 MB/s", "COLO, 50 ms", 1, pause: 5, work: 500),
        Run("KVM, rewriting 50 MB/s", "COLO, 50 ms, delayed ACKs", 1, pause: 88, work: 0),
    ];

    [Fact]
    public void Rows_CompareWithTheSameRepetition()
    {
        var row = Row("Redis, 50 clients", "adaptive");

        Assert.Equal(new Spread(0.85, 0.5, 0.9), row.Throughput);
        Assert.Equal(new Spread(6, 5, 7), row.AddedMs);
        Assert.Equal(new Spread(3, 2, 9), row.PauseP50Ms);
        Assert.Null(row.Speed);
    }

    [Fact]
    public void Rows_OfAGuestThatStoodStill_SaySo() => Assert.Equal(0, Row("KVM, rewriting 50 MB/s", "COLO, 50 ms, delayed ACKs").Speed!.Median);

    [Fact]
    public void Goals_AreJudgedByMedians_AndAgainstColoAtItsBest()
    {
        var goals = ModesSummary.Goals(ModesSummary.Rows(Runs), [Floor(1000, 2, 2.1), Floor(3000, 2, 2.3)]);

        Assert.Equal([true, false, true, true], goals.Select(g => g.IsMet));
        Assert.Contains("2 ms against 5 ms", goals[2].Seen, StringComparison.Ordinal);
        Assert.Contains("85 %", goals[3].Seen, StringComparison.Ordinal);
    }

    [Fact]
    public void Spread_OfAnEvenNumber_TakesTheMeanOfTheMiddle() => Assert.Equal(new Spread(2.5, 1, 9), Spread.Of([9, 1, 3, 2]));

    [Fact]
    public void Document_ShowsEveryModeGoalAndFailure_AndItsPlotsAreThere()
    {
        var rows = ModesSummary.Rows(Runs);
        CheckpointRow[] floor = [Floor(1000, 2, 2.1), Floor(3000, 2, 2.3)];
        var report = new ModesReport(Host, "7.2.22", true, ModesSummary.Goals(rows, floor), rows, floor, ["COLO broke"], Runs);

        var files = ModesDocument.Files(report).ToDictionary(f => f.Name, f => f.Content);

        var page = files[ModesDocument.Page];
        Assert.All(rows, r => Assert.Contains($"| {r.Mode} |", page, StringComparison.Ordinal));
        Assert.All(report.Goals, g => Assert.Contains(g.Seen, page, StringComparison.Ordinal));
        Assert.Contains("COLO broke", page, StringComparison.Ordinal);
        Assert.Contains("commit abc", page, StringComparison.Ordinal);
        Assert.All(files.Keys.Where(n => n.EndsWith(".svg", StringComparison.Ordinal)), name =>
        {
            Assert.Contains($"({name})", page, StringComparison.Ordinal);
            XDocument.Parse(files[name]);
        });
        Assert.Contains("modes-floor.svg", files.Keys);
    }

    private static readonly BenchHost Host = new("cpu", 2, 1024, "6.1", ".NET 10", 0.5, DateTimeOffset.UnixEpoch, "abc");

    private static ModeRow Row(string load, string mode) => ModesSummary.Rows(Runs).Single(r => r.Load == load && r.Mode == mode);

    private static CheckpointRow Floor(int pages, double floor, double pause) => new(
        pages, pages, new LatencySummary(100, floor, floor, floor), pages, new LatencySummary(100, pause, pause, pause), pause / floor, 1, 1000);

    private static ModeRun Run(string load, string mode, int repetition, double requests = 0, double roundTrip = 0, double pause = 0, double? work = null) => new(
        load, mode, repetition, 3, load.StartsWith("KVM", StringComparison.Ordinal) ? "kvm" : "tcg", pause > 0 ? 10 : 0, new PauseFigures(pause, pause, pause), 100, new LatencySummary(requests > 0 ? 1 : 0, roundTrip, roundTrip, roundTrip), requests, 1e6,
        work, 0.5, 0.2, 1);
}
