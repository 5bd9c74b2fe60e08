using static System.FormattableString;

namespace Pollux.Migration.Policies;

/// <summary>
/// QEMU by itself, with a downtime-limit set once: it stops the guest when it believes that the rest takes no longer, and looks at nothing else.
/// Four policies of the field differ only in that limit.
/// </summary>
public sealed class FixedLimitPolicy : IMigrationPolicy
{
    /// <summary>QEMU's own default (<c>DEFAULT_MIGRATE_SET_DOWNTIME</c>, migration/migration.c).</summary>
    public const double StockLimitMs = 300;

    private readonly Func<MigrationTerms, MigrationSetup> _setup;
    private readonly bool _asksWhenLonger;

    private FixedLimitPolicy(string name, Func<MigrationTerms, MigrationSetup> setup, bool asksWhenLonger = false) => (Name, _setup, _asksWhenLonger) = (name, setup, asksWhenLonger);

    public string Name { get; }

    /// <summary>300 ms, or the user's pause where that is shorter.</summary>
    public static FixedLimitPolicy Stock() => new("stock", terms => new MigrationSetup(Math.Min(StockLimitMs, terms.MaxPauseMs), AutoConverge: false));

    /// <summary>Stock with another limit, whatever pause the user allowed: the comparison of the thesis, which the benchmark searches for.</summary>
    public static FixedLimitPolicy Relaxed(double limitMs) => new("relaxed", _ => new MigrationSetup(limitMs, AutoConverge: false));

    /// <summary>The pause that the user allowed is the limit.</summary>
    public static FixedLimitPolicy Capped() => new("capped", terms => new MigrationSetup(terms.MaxPauseMs, AutoConverge: false), asksWhenLonger: true);

    /// <summary>Stock, and QEMU slows the guest down when it makes no progress (20 %, then 10 % more each time).</summary>
    public static FixedLimitPolicy AutoConverge() => new("auto-converge", terms => new MigrationSetup(Math.Min(StockLimitMs, terms.MaxPauseMs), AutoConverge: true));

    public MigrationSetup Begin(MigrationTerms terms) => _setup(terms);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        var limit = _setup(terms).DowntimeLimitMs;
        return Refusal.AtDeadline(terms, samples)
            ?? (_asksWhenLonger ? Refusal.WhenStalled(terms, samples) : null)
            ?? new MigrationOrder.GoOn(Invariant($"QEMU stops the guest when it believes that the rest takes no more than {limit:0} ms"));
    }
}
