using Pollux.Agent.Reconciling;
using Pollux.Cluster.Events;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Events;

/// <summary>What changed between two looks of the agent, in words: pure functions.</summary>
internal static class ClusterNews
{
    /// <summary>A keeper that leaves by itself has written so to the store; an earlier look may not have seen that yet.</summary>
    private const double DeadForMs = 700;

    /// <summary>Hosts that came and went. Nothing before there is something to compare with.</summary>
    public static IEnumerable<EventDraft> OfHosts(ClusterView? before, ClusterView after)
    {
        if (before is null)
        {
            yield break;
        }
        foreach (var host in after.Hosts.Keys.Except(before.Hosts.Keys).Order())
        {
            yield return new EventDraft(EventKinds.HostAlive, EventWeight.Info, $"the host {host} is alive");
        }
        foreach (var host in before.Hosts.Keys.Except(after.Hosts.Keys).Order())
        {
            yield return new EventDraft(
                EventKinds.HostGone, EventWeight.Warning, $"the host {host} counts as dead: its lease ran out without a word from its agent");
        }
        foreach (var (host, record) in after.Hosts)
        {
            if (before.Hosts.TryGetValue(host, out var old) && old.BootId != record.BootId)
            {
                yield return new EventDraft(EventKinds.HostAlive, EventWeight.Warning, $"the host {host} has started anew");
            }
        }
    }

    /// <summary>What this host found out of a VM by trying.</summary>
    /// <param name="beforeMs">When the look before was, by the clock of <see cref="ClusterView.Now"/>.</param>
    public static IEnumerable<EventDraft> OfVm(VmMemory before, VmMemory after, LocalVm local, double beforeMs, double nowMs)
    {
        if (after.StartFailure.Length > 0 && after.StartFailure != before.StartFailure)
        {
            yield return new EventDraft(EventKinds.StartFailed, EventWeight.Alarm, $"it does not start: {after.StartFailure}");
        }
        // What its keeper said of itself it has told itself.
        if (after.Note.Length > 0 && after.Note != before.Note && after.Note != local.Keeper?.Note)
        {
            yield return new EventDraft(EventKinds.NotProtected, EventWeight.Warning, $"not protected: {after.Note}");
        }
        if (after.DeadSince is { } dead && beforeMs - dead < DeadForMs && nowMs - dead >= DeadForMs && !local.KeeperLives && after.StartFailure.Length == 0)
        {
            yield return new EventDraft(EventKinds.KeeperDied, EventWeight.Alarm, $"its keeper here is dead: {local.LastWords}");
        }
    }

    private static IOrderedEnumerable<HostId> Order(this IEnumerable<HostId> hosts) => hosts.OrderBy(h => h.Value, StringComparer.Ordinal);
}
