using Pollux.Migration.Policies;

namespace Pollux.Lab.Bench.Migration;

/// <summary>QEMU's rule with a limit that grows by 100 ms every two seconds: where it ends, the search for relaxed's limit begins.</summary>
internal sealed class ClimbingLimit(double fromMs) : IMigrationPolicy
{
    public const double StepMs = 100;
    private const double EveryMs = 2000;

    public string Name => "climbing";

    public MigrationSetup Begin(MigrationTerms terms) => new(fromMs, AutoConverge: false);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples) => new MigrationOrder.Limit(LimitAt(samples[^1].AtMs));

    public double LimitAt(double ms) => fromMs + (Math.Floor(ms / EveryMs) * StepMs);
}
