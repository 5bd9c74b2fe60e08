using System.Text.Json.Serialization;

namespace Pollux.Lab.Torture;

/// <summary>A torture's result as JSON.</summary>
/// <param name="Failed">Rounds with a broken promise.</param>
/// <param name="Unreached">Rounds whose fault point was not reached, so that nothing was struck.</param>
public sealed record TortureReport(ulong Seed, int Rounds, int Failed, int Unreached, long Acknowledged, long Lost, IReadOnlyList<TortureRow> Results)
{
    public static TortureReport Of(ulong seed, IReadOnlyList<TortureVerdict> verdicts) => new(
        seed, verdicts.Count, verdicts.Count(v => !v.IsClean), verdicts.Count(v => !v.Reached),
        verdicts.Sum(v => v.Client?.Acknowledged ?? 0), verdicts.Sum(v => v.Client?.Lost ?? 0), [.. verdicts.Select(TortureRow.Of)]);
}

/// <summary>One round's line.</summary>
public sealed record TortureRow(
    int Round, string What, string? Before, string? After, bool Reached, double? OutageMs, long Requests, long Acknowledged, long Lost,
    long RegisterOperations, int BeaconsHeard, IReadOnlyList<string> Complaints, string? Evidence)
{
    internal static TortureRow Of(TortureVerdict v) => new(
        v.Round.Number, v.Round.ToString(), v.Before?.Value, v.After?.Value, v.Reached, v.OutageMs is { } ms ? Math.Round(ms, 1) : null,
        v.Client?.Requests ?? 0, v.Client?.Acknowledged ?? 0, v.Client?.Lost ?? 0, v.Registers?.Operations ?? 0, v.Beacon?.Heard ?? 0, v.Complaints, v.Evidence);
}

/// <summary>JSON of a torture's report, camelCase.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(TortureReport))]
public sealed partial class TortureJson : JsonSerializerContext;
