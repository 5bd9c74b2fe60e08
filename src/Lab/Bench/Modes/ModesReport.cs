using System.Text.Json.Serialization;
using Pollux.Lab.Load;

namespace Pollux.Lab.Bench.Modes;

/// <summary>One measured window: a guest under a load in a mode.</summary>
/// <param name="Load">See <see cref="ModeLoad"/>.</param>
/// <param name="Accelerator">kvm or tcg.</param>
/// <param name="PauseMs">RESUME minus STOP of the guest's QEMU; none when there was no checkpoint.</param>
/// <param name="PagesP50">Of a checkpoint; 0 where nobody counts them (COLO).</param>
/// <param name="RoundTripMs">What the client saw; none without a network.</param>
/// <param name="LinkBytesPerSecond">What passed the replication port of the guest's host, both ways, with what agents and etcd say there.</param>
/// <param name="WorkPerSecond">Pages that the guest's loop rewrote; null: it has none.</param>
/// <param name="QemuCpus">Processors that the guest's QEMU kept busy: 1 is one of them. Of a COLO pair, the primary's.</param>
/// <param name="OtherCpus">Likewise the rest of the two hosts: keepers, the standby's QEMU, agents, etcd.</param>
/// <param name="MachineLoad">The load average of one minute after it.</param>
public sealed record ModeRun(
    string Load, string Mode, int Repetition, double Seconds, string Accelerator, double CheckpointsPerSecond, PauseFigures PauseMs, double PagesP50,
    LatencySummary RoundTripMs, double RequestsPerSecond, double LinkBytesPerSecond, double? WorkPerSecond, double QemuCpus, double OtherCpus, double MachineLoad);

public sealed record PauseFigures(double P50, double P99, double Max)
{
    public static PauseFigures Of(IEnumerable<double> pauses) => LatencySummary.Of(pauses) is var s ? new(s.P50, s.P99, s.Max) : null!;
}

/// <summary>A figure over the repetitions.</summary>
public sealed record Spread(double Median, double Least, double Most)
{
    public static Spread Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? new Spread(0, 0, 0) : new Spread(MedianOf(sorted), sorted[0], sorted[^1]);
    }

    /// <summary>The mean of the two middle values when their number is even.</summary>
    private static double MedianOf(double[] sorted) => (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
}

/// <summary>A mode under a load: the repetitions' medians, each with the least and the most.</summary>
/// <param name="Throughput">Of unprotected in the same repetition; null: no Redis load.</param>
/// <param name="Speed">The guest's rewriting loop, of unprotected in the same repetition; null: it has none.</param>
/// <param name="AddedMs">Round trip above unprotected's in the same repetition; null without a network.</param>
public sealed record ModeRow(
    string Load, string Mode, string Accelerator, int Repetitions, Spread CheckpointsPerSecond, Spread PauseP50Ms, Spread PauseP99Ms, double PagesP50, Spread RoundTripP50Ms, Spread RoundTripP99Ms,
    Spread? AddedMs, Spread RequestsPerSecond, Spread? Throughput, Spread LinkMBPerSecond, Spread? Speed, Spread QemuCpus, Spread OtherCpus)
{
    public bool HasPauses => PauseP50Ms.Median > 0;

    public bool IsKvm => Accelerator == "kvm";
}

/// <summary>Something that the design promises, and what was seen.</summary>
public sealed record Goal(string What, string Seen, bool IsMet);

/// <summary>The comparison: every run as it was, and what follows from them.</summary>
/// <param name="Failures">Windows that could not be measured, in words.</param>
public sealed record ModesReport(
    BenchHost Host, string QemuVersion, bool IsQuick, IReadOnlyList<Goal> Goals, IReadOnlyList<ModeRow> Rows, IReadOnlyList<CheckpointRow> Floor,
    IReadOnlyList<string> Failures, IReadOnlyList<ModeRun> Runs);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ModesReport))]
public sealed partial class ModesJson : JsonSerializerContext;
