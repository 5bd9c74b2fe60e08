using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Migration.Policies;

namespace Pollux.Keeper.Moving;

/// <summary>What the user asked of a migration, with its defaults.</summary>
internal static class MoveTerms
{
    /// <summary>Device state, loading and the swap of the role: what a pause has beside the pages that are left.</summary>
    private const double OverheadMs = 60;

    public static string PolicyNameOf(MigrationSettings settings) => settings.Policy ?? MigrationPolicies.Default;

    public static IMigrationPolicy PolicyOf(MigrationSettings settings) => MigrationPolicies.Named(PolicyNameOf(settings), settings.DowntimeLimitMs);

    public static MigrationTerms Of(MigrationSettings settings, long ramBytes) => new(
        ramBytes, settings.MaxPauseMs ?? MigrationSettings.DefaultMaxPauseMs, (settings.DeadlineSeconds ?? MigrationSettings.DefaultDeadlineSeconds) * 1000.0, settings.BytesPerSecond, OverheadMs,
        settings.WhenLonger switch
        {
            null or "throttle" => WhenLonger.Throttle,
            "wait" => WhenLonger.Wait,
            "give-up" => WhenLonger.GiveUp,
            var other => throw new PolluxException($"'{other}' says nothing of what to do when the pause cannot be kept", "choose throttle, wait or give-up"),
        });

    /// <exception cref="PolluxException">A setting is none.</exception>
    public static void Check(MigrationSettings settings)
    {
        PolicyOf(settings);
        Of(settings, 0);
        Require(settings.MaxPauseMs, 1, 600_000, "the longest pause, ms");
        Require(settings.DeadlineSeconds, 1, 86_400, "the deadline, s");
        Require(settings.BytesPerSecond, 1_000_000, 100_000_000_000, "the bandwidth, bytes/s");
    }

    private static void Require(long? value, long least, long most, string what)
    {
        if (value is { } given && (given < least || given > most))
        {
            throw new PolluxException($"{what}, cannot be {given}", $"choose {least} to {most}");
        }
    }
}
