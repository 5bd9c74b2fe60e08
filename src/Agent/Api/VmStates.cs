using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Api;

/// <summary>A VM's state in one word, and why.</summary>
internal static class VmStates
{
    public static (string State, string Note) Of(VmView view, KeeperOnHost? primary) => (view.Role, primary) switch
    {
        (_, { Status: { Side: "primary" } status }) => (status.Phase, NoteOf(view, status.Phase, status.Note, primary.Note ?? "")),
        ({ State: RoleState.Taking } role, _) => ("taking", role.Reason),
        (_, { Status: { } status }) => ("taking", status.Note),
        (_, { Error: { } error }) => ("unknown", error),
        (_, { StartFailure: { } failure }) when view.Record!.Run => ("failing", failure),
        (null, _) => view.Record!.Run ? ("starting", "") : ("stopped", ""),
        ({ State: RoleState.Stopped } role, _) => view.Record!.Run ? ("starting", "") : ("stopped", role.Reason),
        ({ } role, _) => view.Record!.Run ? ("starting", $"no keeper lives on {role.Primary.Host}") : ("stopped", ""),
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
