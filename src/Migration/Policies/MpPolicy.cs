using Pollux.Migration.Policies.Mp;
using static System.FormattableString;

namespace Pollux.Migration.Policies;

/// <summary>What MP was tuned with; see docs/live-migration.md for how.</summary>
/// <param name="VainMost">
/// What a shorter pause may cost: a guest is memory-intensive when going on until next to nothing is left sends a larger share than this in vain.
/// </param>
/// <param name="QuietLimitMs">Of a guest that is not: then QEMU goes on until what is left takes no longer.</param>
/// <param name="Margin">Share of the allowed pause that is kept for what MP's own forecast misses. QEMU's look with the guest's dirty log in hand misses nothing.</param>
public sealed record MpSettings(double VainMost = 0.1, double QuietLimitMs = 30, double Margin = 0.03);

/// <summary>
/// Memory Pattern: a guest that is not memory-intensive is copied until next to nothing is left; one that is, is stopped at the first moment at which all that is
/// left fits into the pause that the user allowed, because each further iteration costs time and data and leaves as much. When it will never fit, this
/// is said as soon as it is known, and the user's choice is followed. The algorithm and its reasons: docs/live-migration.md.
/// </summary>
public sealed class MpPolicy(MpSettings settings) : IMigrationPolicy
{
    /// <summary>A stop is ordered only where the forecast can be trusted: what is written in the first moments says little of a second.</summary>
    private const double SettledMs = 200;

    /// <summary>Who is not found to be memory-intensive, and has not been copied to next to nothing by then, never will be: over a slow link little is much.</summary>
    private const int PassesMost = 10;

    public MpPolicy()
        : this(new MpSettings())
    {
    }

    public string Name => "mp";

    public MigrationSetup Begin(MigrationTerms terms) => new(QuietLimitMs(terms), AutoConverge: false);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        if (Refusal.AtDeadline(terms, samples) is { } late)
        {
            return late;
        }
        var allowedMs = terms.MaxPauseMs * (1 - settings.Margin);
        var forecast = new MigrationForecast(terms, samples, allowedMs);
        // What cannot be kept anyway is not made harder: a guest that is slowed down writes less of what waits.
        var postponed = forecast.VainShare <= settings.VainMost || forecast.ShortestPauseMs > terms.MaxPauseMs ? default : forecast.Postponement;
        return Decide(terms, samples, forecast, postponed, allowedMs) with { PostponedSlices = postponed.Slices };
    }

    private MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples, MigrationForecast forecast, Postponement postponed, double allowedMs)
    {
        if (forecast.VainShareOfRound(postponed) is { } ofRound && ofRound <= settings.VainMost)
        {
            return Limit(QuietLimitMs(terms), forecast, postponed, postponed.Slices == 0
                ? Invariant($"the rest of the first round is cold: going on with it costs {100 * ofRound:0} % more data")
                : Invariant($"the guest is memory-intensive: {(forecast.PostponedBytes + postponed.AheadBytes) / 1e6:0} MB that it writes all the time wait until it stands, the rest goes first"));
        }
        if (samples[^1].Iteration > PassesMost && forecast.PauseNowMs <= allowedMs)
        {
            return new MigrationOrder.SwitchOver(forecast.PauseNowMs, Invariant($"{PassesMost} passes have left {forecast.RestBytes / 1e6:0.0} MB, which fit into the pause that is allowed"));
        }
        return forecast.VainShare <= settings.VainMost
            ? Limit(QuietLimitMs(terms), forecast, postponed, forecast.Curve.IsUnknown
                ? "the first pass: nobody knows yet what the guest writes"
                : Invariant($"passes shrink: {100 * forecast.ShareLeftByAPass:0} % of one is left to the next"))
            : WhenIntensive(terms, samples, forecast, postponed, allowedMs);
    }

    private static MigrationOrder WhenIntensive(MigrationTerms terms, IReadOnlyList<MigrationSample> samples, MigrationForecast forecast, Postponement postponed, double allowedMs)
    {
        var pauseMs = forecast.PauseNowMs;
        if (pauseMs <= allowedMs && samples[^1].AtMs >= SettledMs)
        {
            return new MigrationOrder.SwitchOver(pauseMs, Invariant(
                $"the guest is memory-intensive ({100 * forecast.ShareLeftByAPass:0} % of a pass is left to the next) and {forecast.RestBytes / 1e6:0} MB fit into the pause that is allowed"));
        }
        var shortestMs = forecast.ShortestPauseMs;
        var refused = shortestMs <= terms.MaxPauseMs ? null : Refusal.AsChosen(terms, samples[^1], Invariant(
            $"the guest writes so much that the shortest pause is {shortestMs:0} ms{Hot(forecast)}, and {terms.MaxPauseMs:0} ms are allowed"));
        return refused is MigrationOrder.GiveUp or MigrationOrder.Throttle
            ? refused
            : Limit(Math.Max(1, terms.MaxPauseMs - terms.OverheadMs), forecast, postponed, (refused as MigrationOrder.GoOn)?.Why
                ?? Invariant($"the guest is memory-intensive ({100 * forecast.ShareLeftByAPass:0} % of a pass is left to the next); it stops as soon as the rest fits: now {pauseMs:0} ms"));
    }

    /// <summary>QEMU's own limit. Of pages that wait it knows nothing, and while the relay takes them in, and for a window after, it believes in a link as fast as memory.</summary>
    private static MigrationOrder.Limit Limit(double limitMs, MigrationForecast forecast, Postponement postponed, string why) =>
        new(postponed.Slices != 0 || forecast.IsTakingIn ? 1 : Math.Max(1, limitMs - forecast.PostponedMs), why);

    private double QuietLimitMs(MigrationTerms terms) => Math.Clamp(terms.MaxPauseMs - terms.OverheadMs, 1, settings.QuietLimitMs);

    private static string Hot(MigrationForecast forecast) =>
        forecast.Pattern.HotGroups == 0 ? "" : Invariant($" ({forecast.Pattern.HotBytes / 1e6:0} MB in {forecast.Pattern.HotGroups} page groups are written again and again)");
}
