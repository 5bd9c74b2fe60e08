namespace Pollux.Migration.Policies;

/// <summary>Memory Pattern. For now QEMU's own rule, with what a pause costs beside sending taken off the limit.</summary>
public sealed class MpPolicy : IMigrationPolicy
{
    public string Name => "mp";

    public MigrationSetup Begin(MigrationTerms terms) => new(Math.Max(1, terms.MaxPauseMs - terms.OverheadMs), AutoConverge: false);

    public MigrationOrder Decide(MigrationTerms terms, IReadOnlyList<MigrationSample> samples) =>
        Refusal.AtDeadline(terms, samples) ?? Refusal.WhenStalled(terms, samples) ?? new MigrationOrder.GoOn();
}
