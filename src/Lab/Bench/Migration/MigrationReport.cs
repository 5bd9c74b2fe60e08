using System.Text.Json.Serialization;
using Pollux.Lab.Bench.Modes;
using Pollux.Migration;

namespace Pollux.Lab.Bench.Migration;

/// <summary>The comparison of the migration policies: every run as it was, and what follows from them.</summary>
/// <param name="Failures">What could not be measured, in words.</param>
public sealed record MigrationReport(
    BenchHost Host, string QemuVersion, bool IsQuick, IReadOnlyList<Goal> Goals, IReadOnlyList<MigrationRow> Rows, IReadOnlyList<string> Failures, IReadOnlyList<MigrationRun> Runs)
{
    public static MigrationReport Of(BenchHost host, string qemuVersion, bool isQuick, IReadOnlyList<MigrationRun> runs, IReadOnlyList<string> failures)
    {
        var rows = MigrationSummary.Rows(runs);
        return new MigrationReport(host, qemuVersion, isQuick, MigrationGoals.Of(rows), rows, failures, runs);
    }
}

/// <summary>A policy on a guest over a link: the repetitions' medians, each with the least and the most.</summary>
/// <param name="TotalSeconds">Of the runs that succeeded; when none did, of the longest.</param>
/// <param name="SentMB">Likewise, in 10^6 bytes.</param>
/// <param name="PauseMs">Of the runs that succeeded; null: none did.</param>
/// <param name="GuestSpeed">Of undisturbed; null: unknown.</param>
/// <param name="LimitMs">Of relaxed: the downtime-limit that was found.</param>
public sealed record MigrationRow(
    RunKind Kind, string Guest, double LinkMBps, string Policy, int Repetitions, int Succeeded, Spread TotalSeconds, Spread SentMB, Spread? PauseMs, Spread? GuestSpeed, double MaxPauseMs, double? LimitMs)
{
    public bool AlwaysSucceeded => Succeeded == Repetitions;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, WriteIndented = true)]
[JsonSerializable(typeof(MigrationReport))]
[JsonSerializable(typeof(IReadOnlyList<MigrationRun>))]
public sealed partial class MigrationJson : JsonSerializerContext;
