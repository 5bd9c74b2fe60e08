using Pollux.Core;

namespace Pollux.Migration.Policies;

/// <summary>The policies by the names that users type.</summary>
public static class MigrationPolicies
{
    public const string Default = "mp";

    public static IReadOnlyList<string> Names { get; } = ["mp", "stock", "relaxed", "capped", "auto-converge", "doubling", "ramp"];

    /// <param name="relaxedLimitMs">Of relaxed, which is stock with this downtime-limit; no other policy reads it.</param>
    /// <exception cref="PolluxException">No such policy, or relaxed without a limit.</exception>
    public static IMigrationPolicy Named(string name, double? relaxedLimitMs = null) => name switch
    {
        "mp" => new MpPolicy(),
        "stock" => FixedLimitPolicy.Stock(),
        "relaxed" => FixedLimitPolicy.Relaxed(relaxedLimitMs is > 0 and < double.PositiveInfinity and var limit
            ? limit
            : throw new PolluxException("the policy relaxed is stock with a downtime-limit of your choice, and none was given", "give it with --downtime-limit, in milliseconds, or take capped, which uses --max-pause")),
        "capped" => FixedLimitPolicy.Capped(),
        "auto-converge" => FixedLimitPolicy.AutoConverge(),
        "doubling" => new DoublingPolicy(),
        "ramp" => new RampPolicy(),
        _ => throw new PolluxException($"there is no migration policy '{name}'", $"choose one of {string.Join(", ", Names)}"),
    };
}
