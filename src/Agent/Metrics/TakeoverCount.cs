using System.Collections.Concurrent;
using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Agent.Metrics;

/// <summary>How many takeovers this host's keepers have won, counted from what they say; a keeper wins at most one in its life.</summary>
/// <param name="sinceUnixMs">A takeover before that, found at the first look at a keeper, does not count.</param>
internal sealed class TakeoverCount(double sinceUnixMs)
{
    private readonly ConcurrentDictionary<VmName, (long Count, double LastUnixMs)> _vms = new();

    public void Note(KeeperStatus status)
    {
        var at = status.LastTakeover?.GateOpenUnixMs ?? 0;
        _vms.AddOrUpdate(status.Vm, (at > sinceUnixMs ? 1 : 0, at), (_, known) => at > known.LastUnixMs ? (known.Count + 1, at) : known);
    }

    public IReadOnlyDictionary<VmName, long> Counts() => _vms.ToDictionary(v => v.Key, v => v.Value.Count);
}
