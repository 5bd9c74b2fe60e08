using static System.FormattableString;

namespace Pollux.Migration.Policies;

/// <summary>
/// As KubeVirt does it since 2026 (enhancement 291, with its defaults), after oVirt's "minimal downtime" (100, 150, 200, 300, 400, 500 ms, one step for each
/// stalled iteration, then abort): 150 ms at first; from the third iteration on a seventh of the way to the most allowed every ten seconds. KubeVirt's
/// most is 1,050 ms by default; here it is the pause that the user allowed.
/// </summary>
public sealed class RampPolicy : IMigrationPolicy
{
    private const double FirstLimitMs = 150;
    private const int Steps = 7;
    private const int StartIteration = 3;
    private const double StepMs = 10_000;

    public string Name => "ramp";

    public MigrationSetup Begin(MigrationTerms terms) => new(Math.Min(FirstLimitMs, terms.MaxPauseMs), AutoConverge: false);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        var first = Begin(terms).DowntimeLimitMs;
        var step = StepsTaken(samples);
        var limit = first + ((terms.MaxPauseMs - first) * step / Steps);
        return Refusal.AtDeadline(terms, samples)
            ?? (step == Steps ? Refusal.WhenStalled(terms, samples) : null)
            ?? (step > 0 ? new MigrationOrder.Limit(limit)
                : new MigrationOrder.GoOn(Invariant($"the downtime-limit of {limit:0} ms grows every {StepMs / 1000:0} s from iteration {StartIteration} on")));
    }

    private static int StepsTaken(IReadOnlyList<MigrationSample> samples)
    {
        var start = samples.FirstOrDefault(s => s.Iteration >= StartIteration);
        return start is null ? 0 : Math.Min(Steps, (int)((samples[^1].AtMs - start.AtMs) / StepMs));
    }
}
