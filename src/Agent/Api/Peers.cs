using System.Collections.Concurrent;
using System.Text.Json;
using Pollux.Cluster.Api;
using Pollux.Cluster.Security;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Api;

/// <summary>The other hosts' agents, connections kept open.</summary>
internal sealed class Peers(EtcdStore store, PeerTls tls) : IDisposable
{
    private readonly ConcurrentDictionary<string, AgentClient> _clients = new();

    /// <exception cref="PolluxException">No such host is alive.</exception>
    public async Task<AgentClient> OfAsync(HostId host, CancellationToken cancellation)
    {
        var entry = await store.GetAsync(StoreKeys.Host(host), cancellation).ConfigureAwait(false)
            ?? throw new PolluxException($"the host {host} is not alive", "see 'pollux host list'");
        return Of(JsonSerializer.Deserialize(entry.Value, StoreJson.Default.HostRecord)!);
    }

    /// <summary>A host of which this is known, be it alive or not.</summary>
    public AgentClient Of(HostRecord record) =>
        _clients.GetOrAdd($"{record.Host}@{record.Address}:{record.ApiPort}", _ => AgentClient.Peer(record, tls));

    public void Dispose()
    {
        foreach (var client in _clients.Values)
        {
            client.Dispose();
        }
    }
}
