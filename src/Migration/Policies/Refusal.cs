using static System.FormattableString;

namespace Pollux.Migration.Policies;

/// <summary>What policies have in common: the deadline, and what the user chose for a pause that cannot be kept. Pure.</summary>
internal static class Refusal
{
    /// <summary>Looks after the first pass without progress, until it counts as stalled.</summary>
    private const int StalledLooks = 4;

    /// <summary>Less of a fall than this is noise.</summary>
    private const double ProgressShare = 0.9;

    public static MigrationOrder.GiveUp? AtDeadline(MigrationTerms terms, IReadOnlyList<MigrationSample> samples) => samples[^1].AtMs < terms.DeadlineMs
        ? null
        : new MigrationOrder.GiveUp(Invariant(
            $"not finished after {samples[^1].AtMs / 1000:0.#} s with {samples[^1].SentBytes / 1e6:0} MB sent and {samples[^1].RemainingBytes / 1e6:0} MB left; the VM runs on at the source"));

    /// <summary>Null while what remains still falls from look to look, or has come near what fits.</summary>
    public static MigrationOrder? WhenStalled(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        var looks = DirtyLooks.In(samples);
        if (looks.Count <= StalledLooks)
        {
            return null;
        }
        var link = LinkRate.Of(terms, samples);
        var late = looks.Skip(looks.Count - StalledLooks).Min(l => l.RestBytes);
        var early = looks.Take(looks.Count - StalledLooks).Min(l => l.RestBytes);
        var pauseMs = (late / link * 1000) + terms.OverheadMs;
        return late < early * ProgressShare || pauseMs <= terms.MaxPauseMs
            ? null
            : AsChosen(terms, samples[^1], Invariant($"{late / 1e6:0} MB are dirty at every look, a pause of {pauseMs:0} ms, and {terms.MaxPauseMs:0} ms are allowed"));
    }

    /// <param name="problem">Why the allowed pause cannot be kept.</param>
    public static MigrationOrder AsChosen(MigrationTerms terms, MigrationSample now, string problem) => terms.WhenLonger switch
    {
        WhenLonger.GiveUp => new MigrationOrder.GiveUp(problem + "; the VM runs on at the source"),
        WhenLonger.Throttle when now.ThrottlePercent == 0 => new MigrationOrder.Throttle(problem + "; the guest is slowed down until it fits"),
        WhenLonger.Throttle => new MigrationOrder.GoOn(Invariant($"{problem}; the guest is held back by {now.ThrottlePercent} %")),
        _ => new MigrationOrder.GoOn(Invariant($"{problem}; waiting for a quieter moment, {Math.Max(0, terms.DeadlineMs - now.AtMs) / 1000:0} s left")),
    };
}
