using System.Text.Json.Serialization;

namespace Pollux.Migration;

/// <summary>Whether a run's figures were taken from a real migration or from a replay of a trace.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RunKind>))]
public enum RunKind
{
    [JsonStringEnumMemberName("measured")]
    Measured,

    [JsonStringEnumMemberName("replayed")]
    Replayed,
}

/// <summary>One migration as a benchmark sees it.</summary>
/// <param name="Policy">As the user types it.</param>
/// <param name="Guest">What runs in it: idle, redis, rewrite-1.2x, phases, …</param>
/// <param name="LinkMBps">The link's rate, in 10^6 bytes per second.</param>
/// <param name="Succeeded">The guest runs at the destination.</param>
/// <param name="TotalSeconds">From the stream's first byte until the guest ran at the destination, or the end of the try.</param>
/// <param name="SentBytes">Through the relay.</param>
/// <param name="PauseMs">From the stop at the source until the guest ran at the destination; null when it did not succeed.</param>
/// <param name="Kind">Measured or replayed.</param>
/// <param name="MaxPauseMs">What was allowed.</param>
/// <param name="LimitMs">Of relaxed: the downtime-limit that was found for it.</param>
/// <param name="PredictedPauseMs">What the policy said before the switch-over; null: it said nothing.</param>
/// <param name="GuestSpeed">What the guest did during the migration, of what it does undisturbed: 1 is unharmed; null: unknown.</param>
/// <param name="Repetition">Counts from 1.</param>
/// <param name="Why">The last word of the policy.</param>
public sealed record MigrationRun(
    string Policy, string Guest, double LinkMBps, bool Succeeded, double TotalSeconds, long SentBytes, double? PauseMs,
    RunKind Kind, double MaxPauseMs, double? LimitMs, double? PredictedPauseMs, double? GuestSpeed, int Repetition, string Why);
