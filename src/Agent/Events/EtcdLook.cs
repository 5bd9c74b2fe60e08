using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Store;

namespace Pollux.Agent.Events;

/// <summary>Asks every member of etcd how it is, every few seconds, for events and metrics.</summary>
internal sealed class EtcdLook(AgentConfig config, EtcdStore store, EventJournal events)
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(1);
    private readonly EtcdNews _news = new(config.Host);
    private readonly Dictionary<string, string> _names = [];
    private volatile IReadOnlyList<EtcdMemberView> _members = [];

    /// <summary>As last seen; empty before the first look.</summary>
    public IReadOnlyList<EtcdMemberView> Members => _members;

    public bool HasMajority => store.IsAnswering;

    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            var members = await store.Maintenance.ViewAsync(Within, cancellation).ConfigureAwait(false);
            _members = [.. members.Select(Named)];
            foreach (var draft in _news.Look(store.IsAnswering, _members))
            {
                events.Tell(null, draft);
            }
            await Task.Delay(Every, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>A member that is silent now has said its name before.</summary>
    private EtcdMemberView Named(EtcdMemberView member)
    {
        if (member.Name.Length > 0)
        {
            _names[member.Endpoint] = member.Name;
        }
        return member with { Name = _names.GetValueOrDefault(member.Endpoint, "") };
    }
}
