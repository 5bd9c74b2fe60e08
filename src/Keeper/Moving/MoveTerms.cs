using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Migration.Policies;

namespace Pollux.Keeper.Moving;

/// <summary>What the user asked of a migration, with its defaults.</summary>
internal static class MoveTerms
{
    public static string PolicyNameOf(MigrationSettings settings) => settings.Policy ?? MigrationPolicies.Default;

    public static IMigrationPolicy PolicyOf(MigrationSettings settings) => MigrationPolicies.Named(PolicyNameOf(settings), settings.DowntimeLimitMs);

    public static MigrationTerms Of(MigrationSettings settings, long ramBytes) => new(
        ramBytes, settings.MaxPauseMs ?? MigrationSettings.DefaultMaxPauseMs, (settings.DeadlineSeconds ?? MigrationSettings.DefaultDeadlineSeconds) * 1000.0, settings.BytesPerSecond, MigrationSettings.PauseOverheadMs,
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
        settings.Check();
    }
}
