using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Api;

/// <summary>A VM's state in one word, and why.</summary>
internal static class VmStates
{
    /// <param name="hasArbiter">The store has just answered the agent that is asked.</param>
    public static (string State, string Note) Of(VmView view, KeeperOnHost? primary, KeeperOnHost? standby, bool hasArbiter) => (view.Role, primary) switch
    {
        (_, { Status: { Side: "primary", Phase: "protected" } status }) => ("protected", ArbiterNote(status, standby?.Status, hasArbiter) ?? status.Note),
        (_, { Status: { Side: "primary" } status }) => (status.Phase, NoteOf(view, status.Phase, status.Note, primary.Note ?? "")),
        (_, { Status: { Side: "destination" } status }) => (status.Phase, status.Note),
        ({ State: RoleState.Taking } role, _) => ("taking", role.Reason),
        (_, { Status: { } status }) => ("taking", status.Note),
        (_, { Error: not null }) when standby?.Status is { Phase: "taking" } taker => ("taking", taker.Note),
        (null or { State: RoleState.Stopped }, { Error: not null }) when !view.ShallRun => ("stopped", view.Role?.Reason ?? ""),
        (_, { Error: { } error }) => ("unknown", error),
        (_, { StartFailure: { } failure }) when view.ShallRun => ("failing", failure),
        (null, _) => view.ShallRun ? ("starting", "") : ("stopped", ""),
        ({ State: RoleState.Stopped } role, { Orphaned: true }) when !view.ShallRun => ("stopping", role.Reason),
        (not null, { Orphaned: true, StartFailure: { } failure }) when !view.ShallRun => ("stopping", $"its keeper has died, and no other can take charge of its guest: {failure}"),
        (not null, { Orphaned: true }) when !view.ShallRun => ("stopping", "its keeper has died, and the next one takes charge of its guest"),
        ({ State: RoleState.Protected } role, _) when !view.ShallRun && standby?.Status is not null => ("stopping", $"its keeper has died, and {role.Standby!.Host} may take over first"),
        ({ State: RoleState.Stopped } role, _) => view.ShallRun ? ("starting", "") : ("stopped", role.Reason),
        ({ } role, _) => view.ShallRun ? ("starting", $"no keeper lives on {role.Primary.Host}") : ("stopped", ""),
    };

    /// <summary>Each side swaps for itself, so each must reach a majority of etcd for itself; what a keeper says of that counts more than what the agent found.</summary>
    private static string? ArbiterNote(KeeperStatus primary, KeeperStatus? standby, bool hasArbiter) => (primary.HasArbiter, standby?.HasArbiter ?? hasArbiter) switch
    {
        (_, false) => "no arbiter: a takeover would wait",
        (false, true) => $"no arbiter answers {primary.Host}: without its standby the guest would wait",
        _ => null,
    };

    private static string NoteOf(VmView view, string phase, string keepers, string agents)
    {
        if (phase != "running" || !view.Record!.Protect)
        {
            return keepers;
        }
        return agents.Length > 0 ? $"not protected: {agents}" : $"not protected yet: {(view.Assignment is { } a && a.Host != view.Role?.Primary.Host ? $"{a.Host} prepares" : "choosing a host")}";
    }
}
