using Pollux.Core;
using Pollux.Lab.Judgement;
using Pollux.Lab.Load;

namespace Pollux.Lab.Torture;

/// <summary>What the outside saw of a round.</summary>
/// <param name="Complaints">Broken promises, in words; empty: none.</param>
/// <param name="Reached">The round's fault point was reached, or it has none.</param>
/// <param name="OutageMs">From just before the strike to the end of the silence that it made; null: there was no strike.</param>
/// <param name="Evidence">Where logs and recordings of a round that failed are kept.</param>
public sealed record TortureVerdict(
    TortureRound Round, IReadOnlyList<string> Complaints, bool Reached, HostId? Before, HostId? After, double? OutageMs,
    LoadReport? Client, RegisterReport? Registers, BeaconVerdict? Beacon, string? Evidence = null)
{
    public bool IsClean => Complaints.Count == 0;
}
