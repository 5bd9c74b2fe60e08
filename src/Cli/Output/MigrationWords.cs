using System.Globalization;
using Pollux.Cluster.Keepers;

namespace Pollux.Cli.Output;

/// <summary>A live migration in one line.</summary>
internal static class MigrationWords
{
    /// <param name="note">The keeper's own: that the guest stands still, and for what.</param>
    internal static string Of(MigrationStatus m, string note) => m.State == MigrationState.Moving && m.Iteration > 0 && !note.StartsWith("moving to", StringComparison.Ordinal) && note.Length > 0
        ? $"from {m.From} to {m.To}, by {m.Policy}: {Size(m.SentBytes)} sent in {Seconds(m.ElapsedMs)}; {note}"
        : Of(m);

    internal static string Of(MigrationStatus m) => m.State switch
    {
        MigrationState.Moving when m.Iteration == 0 => $"from {m.From} to {m.To}, by {m.Policy}: beginning",
        MigrationState.Moving => $"from {m.From} to {m.To}, by {m.Policy}: {Size(m.SentBytes)} sent in {Seconds(m.ElapsedMs)} (pass {m.Iteration}), {Size(m.RemainingBytes)} left, " +
            $"{m.BytesPerSecond / 1e6:0} MB/s; stopped now, it would stand still for {m.PredictedPauseMs:0} ms; {Left(m)}{Throttled(m)}{(m.Why.Length > 0 ? $"; {m.Why}" : "")}",
        MigrationState.Done => $"from {m.From} to {m.To}, by {m.Policy}: {Seconds(m.ElapsedMs)}, {Size(m.SentBytes)} sent in {Passes(m.Iteration)}; it stood still for {m.PauseMs:0.#} ms (expected {m.PredictedPauseMs:0})",
        _ => $"not from {m.From} to {m.To}, by {m.Policy}: {m.Why} (after {Seconds(m.ElapsedMs)}, {Size(m.SentBytes)})",
    };

    private static string Left(MigrationStatus m) => m.LeftMs is { } left ? $"about {Seconds(left)} to go" : "no end in sight as it goes";

    private static string Throttled(MigrationStatus m) => m.ThrottlePercent > 0 ? $", guest held back by {m.ThrottlePercent} %" : "";

    private static string Passes(long passes) => passes == 1 ? "one pass" : $"{passes} passes";

    private static string Seconds(double ms) => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000:0.0} s");

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.#} MiB");
}
