using System.Globalization;
using System.Text;
using Pollux.Lab.Bench.Plots;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Modes;

/// <summary>A comparison as a Markdown page and its plots. Pure.</summary>
public static class ModesDocument
{
    public const string Page = "modes.md";

    /// <summary>File names and contents: the page and the plots that it shows.</summary>
    public static IReadOnlyList<(string Name, string Content)> Files(ModesReport report)
    {
        var plots = ModesPlots.Of(report);
        return [(Page, PageOf(report, plots.Select(p => (p.Name, p.Title)))), .. plots.Select(p => (p.Name, p.Svg))];
    }

    private static string PageOf(ModesReport report, IEnumerable<(string Name, string Title)> plots)
    {
        var page = new StringBuilder();
        void Say(string line = "") => page.Append(line).Append('\n');
        Say("# All modes in one run");
        Say();
        Say($"Written by `pollux bench modes{(report.IsQuick ? " --quick" : "")} --out DIRECTORY`; every run is in [modes.json](modes.json), and what the words mean is in [README.md](README.md#all-modes-in-one-run--pollux-bench-modes).");
        Say();
        Say($"{report.Host}, QEMU {report.QemuVersion}. {report.Rows.Select(r => r.Repetitions).DefaultIfEmpty().Max()} repetition(s) of {N(report.Runs.Select(r => r.Seconds).DefaultIfEmpty().Average())} s each; load average while it ran {N(Least(report))} to {N(report.Runs.Select(r => r.MachineLoad).DefaultIfEmpty().Max())}. Medians of the repetitions, in brackets their least and most.");
        Say();
        Say("## Goals");
        Say();
        Say("| goal | seen | |");
        Say("|---|---|---|");
        foreach (var goal in report.Goals)
        {
            Say($"| {goal.What} | {goal.Seen} | {(goal.IsMet ? "met" : "**missed**")} |");
        }
        foreach (var (name, title) in plots)
        {
            Say();
            Say($"![{title}]({name})");
        }
        foreach (var load in report.Rows.GroupBy(r => r.Load))
        {
            Say();
            Say($"## {load.Key} ({load.First().Accelerator.ToUpperInvariant()})");
            Say();
            Table(load, Say);
        }
        if (report.Failures.Count > 0)
        {
            Say();
            Say("## Not measured");
            Say();
            report.Failures.ToList().ForEach(f => Say($"- {f}"));
        }
        return page.ToString();
    }

    /// <summary>Columns that no row fills are left out.</summary>
    private static void Table(IEnumerable<ModeRow> load, Action<string> say)
    {
        var rows = load.ToList();
        (string Head, Func<ModeRow, string> Cell)[] all =
        [
            ("mode", r => r.Mode),
            ("checkpoints/s", r => r.HasPauses ? Cell(r.CheckpointsPerSecond) : ""),
            ("pause, median, ms", r => r.HasPauses ? Cell(r.PauseP50Ms) : ""),
            ("p99", r => r.HasPauses ? Cell(r.PauseP99Ms) : ""),
            ("pages", r => r.PagesP50 > 0 ? N(r.PagesP50) : ""),
            ("round trip, median, ms", r => r.RoundTripP50Ms.Most > 0 ? Cell(r.RoundTripP50Ms) : ""),
            ("p99 ", r => r.RoundTripP99Ms.Most > 0 ? Cell(r.RoundTripP99Ms) : ""),
            ("requests/s", r => r.Throughput is null ? "" : Cell(r.RequestsPerSecond)),
            ("of unprotected", r => Percent(r.Throughput)),
            ("link, MB/s", r => Cell(r.LinkMBPerSecond)),
            ("guest's speed", r => Percent(r.Speed)),
            ("CPUs: guest's QEMU", r => N(r.QemuCpus.Median)),
            ("others of both hosts", r => N(r.OtherCpus.Median)),
        ];
        var columns = all.Where(c => rows.Any(r => c.Cell(r).Length > 0)).ToList();
        say($"| {string.Join(" | ", columns.Select(c => c.Head.Trim()))} |");
        say($"|{string.Concat(Enumerable.Repeat("---|", columns.Count))}");
        rows.ForEach(r => say($"| {string.Join(" | ", columns.Select(c => c.Cell(r)))} |"));
    }

    private static string Cell(Spread spread) => spread.Least == spread.Most ? N(spread.Median) : $"{N(spread.Median)} ({N(spread.Least)}–{N(spread.Most)})";

    private static string Percent(Spread? share) => share is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{100 * share.Median:0} %");

    private static double Least(ModesReport report) => report.Runs.Select(r => r.MachineLoad).DefaultIfEmpty().Min();
}
