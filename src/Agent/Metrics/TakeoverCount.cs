using System.Collections.Concurrent;
using Pollux.Cluster.Keepers;
using Pollux.Core;

namespace Pollux.Agent.Metrics;

/// <summary>How many takeovers this host's keepers have won, counted from what they say; a keeper wins at most one in its life.</summary>
internal sealed class TakeoverCount
{
    private readonly ConcurrentDictionary<VmName, (long Count, double LastUnixMs)> _vms = new();

    public void Note(KeeperStatus status)
    {
        var at = status.LastTakeover?.GateOpenUnixMs ?? 0;
        _vms.AddOrUpdate(status.Vm, (at > 0 ? 1 : 0, at), (_, known) => at > known.LastUnixMs ? (known.Count + 1, at) : known);
    }

    public IReadOnlyDictionary<VmName, long> Counts() => _vms.ToDictionary(v => v.Key, v => v.Value.Count);
}
