using System.Globalization;
using System.Text;
using Pollux.Lab.Bench.Modes;
using Pollux.Migration;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Migration;

/// <summary>The comparison as a Markdown page and its plots. Pure.</summary>
public static class MigrationDocument
{
    public const string Page = "migration.md";

    /// <summary>File names and contents: the page and the plots that it shows.</summary>
    public static IReadOnlyList<(string Name, string Content)> Files(MigrationReport report)
    {
        var plots = MigrationPlots.Of(report);
        return [(Page, PageOf(report, plots)), .. plots.Select(p => (p.Name, p.Svg))];
    }

    private static string PageOf(MigrationReport report, IReadOnlyList<MigrationPlots.Plot> plots)
    {
        var page = new StringBuilder();
        void Say(string line = "") => page.Append(line).Append('\n');
        Say("# Live migration: MP beside the others");
        Say();
        Say($"Written by `pollux bench migration{(report.IsQuick ? " --quick" : "")} --out DIRECTORY`; every run is in [migration.json](migration.json), the policies and what the words mean are in [live-migration.md](../live-migration.md).");
        Say();
        Say($"{report.Host}, QEMU {report.QemuVersion}. Medians of the runs that succeeded, in brackets their least and most; where none did, what the longest had come to when it was cut. *Replayed* runs are of a model of QEMU's precopy over recorded traces.");
        Say();
        Say(Verdict(report.Goals));
        foreach (var place in report.Rows.GroupBy(r => (r.Kind, r.LinkMBps)))
        {
            Say();
            Say($"## {(place.Key.Kind == RunKind.Measured ? "Measured" : "Replayed")}, {N(place.Key.LinkMBps)} MB/s");
            foreach (var plot in plots.Where(p => p.Place == (place.Key.Kind, place.Key.LinkMBps)))
            {
                Say();
                Say($"![{plot.Title}]({plot.Name})");
            }
            foreach (var guest in place.GroupBy(r => r.Guest))
            {
                Say();
                Say($"### {guest.Key}: {N(guest.Max(r => r.MaxPauseMs))} ms allowed");
                Say();
                Table(guest, Say);
            }
        }
        Say();
        Say("## Goals");
        Say();
        Say("| goal | seen | |");
        Say("|---|---|---|");
        report.Goals.ToList().ForEach(g => Say($"| {g.What} | {g.Seen} | {(g.IsMet ? "met" : "**missed**")} |"));
        if (report.Failures.Count > 0)
        {
            Say();
            Say("## Not measured");
            Say();
            report.Failures.ToList().ForEach(f => Say($"- {f}"));
        }
        return page.ToString();
    }

    /// <summary>In one line, for the page and for the terminal.</summary>
    public static string Verdict(IReadOnlyList<Goal> goals) =>
        $"{goals.Count(g => g.IsMet)} of {goals.Count} goals are met{(goals.All(g => g.IsMet) ? "." : $"; missed: {string.Join("; ", goals.Where(g => !g.IsMet).Select(g => $"{g.What} ({g.Seen})"))}.")}";

    private static void Table(IEnumerable<MigrationRow> rows, Action<string> say)
    {
        say("| policy | succeeded | total, s | sent, MB | pause, ms | guest's speed |");
        say("|---|---|---|---|---|---|");
        foreach (var r in rows)
        {
            say($"| {r.Policy}{(r.LimitMs is { } limit ? $" ({N(limit)} ms)" : "")} | {r.Succeeded} of {r.Repetitions} | {Reached(r, r.TotalSeconds)} | {Reached(r, r.SentMB)} | {(r.PauseMs is { } p ? Cell(p) : "")} | {Percent(r.GuestSpeed)} |");
        }
    }

    private static string Reached(MigrationRow row, Spread spread) => row.Succeeded > 0 ? Cell(spread) : $"> {Cell(spread)}";

    private static string Cell(Spread spread) => spread.Least == spread.Most ? N(spread.Median) : $"{N(spread.Median)} ({N(spread.Least)}–{N(spread.Most)})";

    private static string Percent(Spread? share) => share is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{100 * share.Median:0} %");
}
