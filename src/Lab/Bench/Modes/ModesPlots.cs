using Pollux.Lab.Bench.Plots;

namespace Pollux.Lab.Bench.Modes;

/// <summary>The plots of a comparison. Pure.</summary>
internal static class ModesPlots
{
    private const double Percent = 100;

    internal sealed record Plot(string Name, string Title, string Svg);

    /// <summary>A plot of which nothing was measured is left out.</summary>
    internal static IReadOnlyList<Plot> Of(ModesReport report) =>
    [
        .. new[]
        {
            Bars(report, "modes-pause.svg", "The guest's pause in a checkpoint", "bar: median; whisker: 99th percentile; medians over the repetitions",
                v => Axis.Log("ms", v), r => r.HasPauses ? new Bar(r.PauseP50Ms.Median, r.PauseP99Ms.Median) : null),
            Bars(report, "modes-roundtrip.svg", "Round trip at the client", "bar: median; whisker: 99th percentile; medians over the repetitions",
                v => Axis.Log("ms", v), r => r.RoundTripP50Ms.Most > 0 ? new Bar(r.RoundTripP50Ms.Median, r.RoundTripP99Ms.Median) : null),
            Bars(report, "modes-redis.svg", "Redis throughput", "of unprotected in the same repetition; whisker: the best repetition",
                v => Axis.Linear("% of unprotected", v), r => r.Throughput is { } t ? new Bar(Percent * t.Median, Percent * t.Most) : null),
            Bars(report, "modes-link.svg", "Bytes on the replication link", "both ways at the port of the guest's host; whisker: the most of the repetitions",
                v => Axis.Log("MB/s", v), r => new Bar(r.LinkMBPerSecond.Median, r.LinkMBPerSecond.Most)),
            Bars(report, "modes-speed.svg", "The guest's own speed", "pages that its rewriting loop writes in a second, of unprotected in the same repetition; whisker: the best repetition",
                v => Axis.Linear("% of unprotected", v), r => r.Speed is { } s ? new Bar(Percent * s.Median, Percent * s.Most) : null),
            Floor(report),
        }.OfType<Plot>(),
    ];

    private static Plot? Bars(ModesReport report, string name, string title, string subtitle, Func<IEnumerable<double>, Axis> axis, Func<ModeRow, Bar?> bar)
    {
        var shown = report.Rows.Where(r => bar(r) is not null).ToList();
        if (shown.Count == 0)
        {
            return null;
        }
        var groups = shown.Select(r => r.Load).Distinct().ToList();
        var series = shown.Select(r => SeriesOf(r.Mode)).Distinct().OrderBy(Mode.PlaceOf).ToList();
        var bars = groups.Select(g => (IReadOnlyList<Bar?>)[.. series.Select(s => shown.Where(r => r.Load == g && SeriesOf(r.Mode) == s).Select(bar).FirstOrDefault())]).ToList();
        var values = shown.Select(r => bar(r)!).SelectMany(b => new[] { b.Value, b.Whisker ?? b.Value });
        return new Plot(name, title, new BarChart(title, subtitle, axis(values), groups, [.. series.Select(s => new BarSeries(s, Mode.PlaceOf(s)))], bars).ToSvg());
    }

    private static Plot? Floor(ModesReport report)
    {
        const string title = "Pause against its floor, under KVM";
        var floor = report.Floor.Where(f => f.Pages > 0).OrderBy(f => f.Pages).ToList();
        if (floor.Count < 2)
        {
            return null;
        }
        LineSeries[] lines =
        [
            new("floor: answers, throws pages away", [.. floor.Select(f => ((double)f.FloorPages, f.FloorMs.P50))]),
            new("Pollux's capture", [.. floor.Select(f => ((double)f.Pages, f.PauseMs.P50))]),
            .. KvmLine("Pollux, shipped to a standby", report, m => m == "periodic"),
            .. KvmLine("upstream COLO pair", report, m => m.StartsWith("COLO, ", StringComparison.Ordinal) && !m.EndsWith("ACKs", StringComparison.Ordinal)),
        ];
        var values = lines.SelectMany(l => l.Points).Select(p => p.Y);
        return new Plot("modes-floor.svg", title, new LineChart(
            title, "medians", Axis.Log("dirty pages of a checkpoint", lines.SelectMany(l => l.Points).Select(p => p.X)),
            [new LinePanel(Axis.Log("ms", values), lines)], PanelHeight: 300, WithDots: true).ToSvg());
    }

    /// <summary>COLO does not say how many pages a checkpoint had; they are those of Pollux's under the same load.</summary>
    private static IEnumerable<LineSeries> KvmLine(string name, ModesReport report, Func<string, bool> isIt)
    {
        var kvm = report.Runs.Where(r => r.Accelerator == "kvm").Select(r => r.Load).ToHashSet();
        var pages = report.Rows.Where(r => r.Mode == "periodic").ToDictionary(r => r.Load, r => r.PagesP50);
        var points = report.Rows.Where(r => kvm.Contains(r.Load) && isIt(r.Mode) && r.HasPauses && pages.GetValueOrDefault(r.Load) > 0)
            .Select(r => (pages[r.Load], r.PauseP50Ms.Median)).OrderBy(p => p.Item1).ToList();
        return points.Count > 1 ? [new LineSeries(name, points)] : [];
    }

    /// <summary>Loads have different intervals; a mode is one series all the same.</summary>
    private static string SeriesOf(string mode) => mode.StartsWith("COLO, ", StringComparison.Ordinal)
        ? mode.EndsWith("delayed ACKs", StringComparison.Ordinal) ? "COLO, same interval, delayed ACKs" : "COLO, same interval"
        : mode;
}
