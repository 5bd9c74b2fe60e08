using System.Text.Json.Serialization;
using Pollux.Lab.Bench;

namespace Pollux.Lab.Demo;

/// <summary>What the demonstration saw. With several rounds the members at the top are medians, sums and worst cases, as named there.</summary>
/// <param name="Outcome">takeover: the standby runs the VM now. solo: the same host does.</param>
/// <param name="Rounds">Each round by itself; null when there was one.</param>
public sealed record DemoReport(
    string QemuVersion, string Accelerator, string Fault, string Trigger, string Outcome,
    DemoCheckpoints Checkpoints, DemoClient Client, DemoTakeover? Takeover, IReadOnlyList<DemoReport>? Rounds)
{
    /// <summary>Where it ran; null in each of several rounds.</summary>
    [JsonPropertyOrder(-1)]
    public BenchHost? Host { get; init; }

    /// <summary>Nothing was lost and the client's connection lived.</summary>
    [JsonIgnore]
    public bool IsGood => Client is { Lost: 0, WrongAnswers: 0, ConnectionSurvived: true };
}

/// <param name="PauseMs">How long the guest stood still in a checkpoint: QMP's RESUME minus STOP.</param>
public sealed record DemoCheckpoints(long Count, double PerSecond, PauseSpread PauseMs, Spread Pages);

public sealed record Spread(double P50, double P99);

public sealed record PauseSpread(double P50, double P99, double Max);

/// <param name="Acknowledged">Writes to which the server said yes.</param>
/// <param name="Lost">Acknowledged writes that were missing or different at the end.</param>
/// <param name="WrongAnswers">Replies that no server gives which lost nothing.</param>
/// <param name="LongestGapMs">The longest time between two replies, from the protection's begin to the end of the load.</param>
/// <param name="FirstComplaint">What went wrong first, in words.</param>
public sealed record DemoClient(
    long Requests, long Acknowledged, long Lost, long WrongAnswers, bool ConnectionSurvived, RoundTrips RttMs, double LongestGapMs, string? FirstComplaint);

public sealed record RoundTrips(Spread Unprotected, Spread Protected);

/// <param name="DetectMs">The silence after which the standby decided.</param>
/// <param name="ArbitrateMs">Asking the store who may run, and telling it.</param>
/// <param name="ResumeMs">Loading the last commit until the guest runs.</param>
/// <param name="KillToFirstAnswerMs">From just before the fault to the first byte of a reply at the client.</param>
public sealed record DemoTakeover(double DetectMs, double ArbitrateMs, double ResumeMs, double KillToFirstAnswerMs);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DemoReport))]
public sealed partial class DemoJson : JsonSerializerContext;
