using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Modes;

/// <summary>From runs to rows to goals. Pure.</summary>
public static class ModesSummary
{
    private const double PauseOfFloorMost = 1.1;
    private const double PauseOfColoMost = 0.5;
    private const double RedisLeast = 0.8;
    private const double AddedMsMost = 5;
    private static readonly string Unprotected = new Mode.Unprotected().Name;

    /// <summary>One row for each load and mode; loads in the order in which they first appear, modes always in the same.</summary>
    public static IReadOnlyList<ModeRow> Rows(IReadOnlyList<ModeRun> runs) =>
    [
        .. runs.GroupBy(r => r.Load).SelectMany(load => load.GroupBy(r => r.Mode).OrderBy(m => Mode.PlaceOf(m.Key)).Select(m => Row(load.Key, m.Key, [.. m], runs))),
    ];

    private static ModeRow Row(string load, string mode, IReadOnlyList<ModeRun> own, IReadOnlyList<ModeRun> all)
    {
        var bases = all.Where(r => r.Load == load && r.Mode == Unprotected).ToDictionary(r => r.Repetition);
        // Against the same repetition's unprotected run, so that what the machine did to both falls out.
        Spread? Against(Func<ModeRun, ModeRun, double?> compare)
        {
            var values = own.Where(r => bases.ContainsKey(r.Repetition)).Select(r => compare(r, bases[r.Repetition])).OfType<double>().ToList();
            return values.Count == 0 ? null : Spread.Of(values);
        }
        return new ModeRow(
            load, mode, own[0].Accelerator, own.Count, Spread.Of(own.Select(r => r.CheckpointsPerSecond)), Spread.Of(own.Select(r => r.PauseMs.P50)), Spread.Of(own.Select(r => r.PauseMs.P99)),
            Spread.Of(own.Select(r => r.PagesP50)).Median, Spread.Of(own.Select(r => r.RoundTripMs.P50)), Spread.Of(own.Select(r => r.RoundTripMs.P99)),
            Against((r, b) => r.RoundTripMs.Count > 0 && b.RoundTripMs.Count > 0 ? r.RoundTripMs.P50 - b.RoundTripMs.P50 : null),
            Spread.Of(own.Select(r => r.RequestsPerSecond)),
            Against((r, b) => b.RequestsPerSecond > 2 * ModeLoad.QuietRequestsPerSecond ? r.RequestsPerSecond / b.RequestsPerSecond : null),
            Spread.Of(own.Select(r => r.LinkBytesPerSecond / 1e6)),
            Against((r, b) => b.WorkPerSecond > 0 ? r.WorkPerSecond / b.WorkPerSecond : null),
            Spread.Of(own.Select(r => r.QemuCpus)), Spread.Of(own.Select(r => r.OtherCpus)));
    }

    public static IReadOnlyList<Goal> Goals(IReadOnlyList<ModeRow> rows, IReadOnlyList<CheckpointRow> floor) =>
    [
        .. floor.Select(f => new Goal(
            $"capture under KVM at {f.Pages} pages: pause ≤ {N(PauseOfFloorMost)} × the floor",
            $"{N(f.PauseMs.P50)} ms against {N(f.FloorMs.P50)} ms: {N(f.Ratio)} ×", f.Ratio <= PauseOfFloorMost)),
        .. rows.Where(r => r.Mode == "periodic").OrderBy(r => !r.IsKvm).SelectMany(r => Colo(r, rows)),
        .. rows.Where(r => r is { Mode: "adaptive", Throughput: not null }).Select(r => new Goal(
            $"{r.Load}, adaptive: ≥ {N(100 * RedisLeast)} % of unprotected", $"{N(100 * r.Throughput!.Median)} % ({Range(r.Throughput, 100)})", r.Throughput.Median >= RedisLeast)),
        .. rows.Where(r => r is { Mode: "adaptive", AddedMs: not null } && r.Load == ModeLoad.Idle.Name).Select(r => new Goal(
            $"{r.Load}, adaptive: round trip ≤ {N(AddedMsMost)} ms more than unprotected", $"{N(r.AddedMs!.Median)} ms more ({Range(r.AddedMs, 1)})", r.AddedMs.Median <= AddedMsMost)),
    ];

    /// <summary>Against COLO with the same interval, at its best (no delayed acknowledgements).</summary>
    private static IEnumerable<Goal> Colo(ModeRow own, IReadOnlyList<ModeRow> rows) => rows
        .Where(r => r.Load == own.Load && r.HasPauses && r.Mode.StartsWith("COLO, ", StringComparison.Ordinal) && !r.Mode.EndsWith("delayed ACKs", StringComparison.Ordinal))
        .Select(colo => new Goal(
            $"{own.Load}{(own.IsKvm ? "" : " (not under KVM)")}: pause ≤ {N(PauseOfColoMost)} × {colo.Mode}",
            $"{N(own.PauseP50Ms.Median)} ms against {N(colo.PauseP50Ms.Median)} ms: {N(own.PauseP50Ms.Median / colo.PauseP50Ms.Median)} ×",
            own.PauseP50Ms.Median <= PauseOfColoMost * colo.PauseP50Ms.Median));

    private static string Range(Spread spread, double factor) => $"{N(factor * spread.Least)} to {N(factor * spread.Most)}";
}
