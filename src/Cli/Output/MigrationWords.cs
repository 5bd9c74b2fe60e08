using System.Globalization;
using Pollux.Cluster.Keepers;

namespace Pollux.Cli.Output;

/// <summary>A live migration in one line.</summary>
internal static class MigrationWords
{
    internal static string Of(MigrationStatus m) => $"from {m.From} to {m.To}, by {m.Policy}: {Outcome(m)}";

    /// <summary>Of one that is under way: what whoever asked for it does not know.</summary>
    internal static string Progress(MigrationStatus m) => m switch
    {
        { Iteration: 0 } => "beginning",
        { WaitsFor: { } waiting } => $"{Size(m.SentBytes)} sent in {Seconds(m.ElapsedMs)}; {waiting}",
        _ => $"{Size(m.SentBytes)} sent in {Seconds(m.ElapsedMs)} (pass {m.Iteration}), {Size(m.RemainingBytes)} left at {m.BytesPerSecond / 1e6:0} MB/s; " +
            $"stopped now, a pause of {m.PredictedPauseMs:0} ms; {Left(m)}{Throttled(m)}{(m.Why.Length > 0 ? $"; {m.Why}" : "")}",
    };

    private static string Outcome(MigrationStatus m) => m.State switch
    {
        MigrationState.Moving => Progress(m),
        MigrationState.Done => $"{Seconds(m.ElapsedMs)}, {Size(m.SentBytes)} sent in {Passes(m.Iteration)}; it stood still for {m.PauseMs:0.#} ms (expected {m.PredictedPauseMs:0})",
        _ => $"it failed: {m.Why} (after {Seconds(m.ElapsedMs)}, {Size(m.SentBytes)})",
    };

    private static string Left(MigrationStatus m) => m.LeftMs is { } left ? $"about {Seconds(left)} to go" : "no end in sight as it goes";

    private static string Throttled(MigrationStatus m) => m.ThrottlePercent > 0 ? $", guest held back by {m.ThrottlePercent} %" : "";

    private static string Passes(long passes) => passes == 1 ? "one pass" : $"{passes} passes";

    private static string Seconds(double ms) => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000:0.0} s");

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.#} MB");
}
