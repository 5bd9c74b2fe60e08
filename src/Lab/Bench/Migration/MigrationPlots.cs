using Pollux.Lab.Bench.Plots;
using Pollux.Migration;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Migration;

/// <summary>The plots of the comparison. Pure.</summary>
internal static class MigrationPlots
{
    /// <summary>Grey is the first colour: MP has one that stands out.</summary>
    private const int ColourOfMp = 6;

    internal sealed record Plot((RunKind Kind, double LinkMBps) Place, string Name, string Title, string Svg);

    internal static IReadOnlyList<Plot> Of(MigrationReport report) =>
    [
        .. report.Rows.GroupBy(r => (r.Kind, r.LinkMBps)).SelectMany(g => new[]
        {
            Bars(g.Key.Kind, g.Key.LinkMBps, [.. g], "time", "Total time of a migration", "bar: median, whisker: the most; of what never ended, when it was cut (see the table)", v => Axis.Log("s", v),
                r => new Bar(r.TotalSeconds.Median, r.TotalSeconds.Most)),
            Bars(g.Key.Kind, g.Key.LinkMBps, [.. g], "data", "Data sent", "bar: median, whisker: the most; of what never ended, until it was cut", v => Axis.Log("MB", v), r => new Bar(r.SentMB.Median, r.SentMB.Most)),
            Bars(g.Key.Kind, g.Key.LinkMBps, [.. g], "pause", "The guest's pause", $"bar: median, whisker: the most; allowed: {N(g.Max(r => r.MaxPauseMs))} ms; no bar: never ended", v => Axis.Linear("ms", v),
                r => r.PauseMs is { } pause ? new Bar(pause.Median, pause.Most) : null),
        }).OfType<Plot>(),
    ];

    private static Plot? Bars(RunKind kind, double link, IReadOnlyList<MigrationRow> rows, string what, string title, string subtitle, Func<IEnumerable<double>, Axis> axis, Func<MigrationRow, Bar?> bar)
    {
        var shown = rows.Where(r => bar(r) is not null).ToList();
        if (shown.Count == 0)
        {
            return null;
        }
        var (guests, policies) = (shown.Select(r => r.Guest).Distinct().ToList(), shown.Select(r => r.Policy).Distinct().OrderBy(MigrationSummary.PlaceOf).ToList());
        var bars = guests.Select(g => (IReadOnlyList<Bar?>)[.. policies.Select(p => shown.FirstOrDefault(r => r.Guest == g && r.Policy == p) is { } row ? bar(row) : null)]).ToList();
        var values = shown.Select(r => bar(r)!).SelectMany(b => new[] { b.Value, b.Whisker ?? b.Value });
        var full = $"{title} over {N(link)} MB/s{(kind == RunKind.Replayed ? ", replayed" : "")}";
        var name = $"migration-{what}-{link:0}{(kind == RunKind.Replayed ? "-replayed" : "")}.svg";
        return new Plot((kind, link), name, full, new BarChart(full, subtitle, axis(values), guests, [.. policies.Select(p => new BarSeries(p, ColourOf(p)))], bars).ToSvg());
    }

    private static int ColourOf(string policy) => MigrationSummary.PlaceOf(policy) is 0 ? ColourOfMp : MigrationSummary.PlaceOf(policy) - 1 is var place && place >= ColourOfMp ? place + 1 : place;
}
