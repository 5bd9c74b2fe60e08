using Pollux.Cluster.Events;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Events;

/// <summary>
/// Whether etcd answers, as this host sees it, and what is told when that changes. A member, or the majority, must be silent at two looks in a
/// row, or a slow answer would be news. Pure but for what it remembers.
/// </summary>
internal sealed class EtcdNews(HostId me)
{
    private readonly Dictionary<string, Silence> _members = [];
    private readonly Silence _majority = new();

    public IEnumerable<EventDraft> Look(bool hasMajority, IReadOnlyList<EtcdMemberView> members)
    {
        foreach (var view in members)
        {
            var member = _members.TryGetValue(view.Endpoint, out var known) ? known : _members[view.Endpoint] = new Silence();
            // A member that answers without a majority is there.
            if (member.Changed(view.Version is not null) is { } answers)
            {
                var who = view.Name.Length > 0 ? $"{view.Name} ({view.Endpoint})" : view.Endpoint;
                yield return answers
                    ? new EventDraft(EventKinds.EtcdMemberBack, EventWeight.Info, $"etcd on {who} answers {me} again")
                    : new EventDraft(EventKinds.EtcdMemberLost, EventWeight.Warning, $"etcd on {who} does not answer {me}");
            }
        }
        if (_majority.Changed(hasMajority) is { } isBack)
        {
            yield return isBack
                ? new EventDraft(EventKinds.EtcdBack, EventWeight.Info, $"a majority of etcd answers {me} again")
                : new EventDraft(EventKinds.EtcdLost, EventWeight.Alarm,
                    $"no majority of etcd answers {me}: what runs goes on and stays protected, but until it is back nothing takes over, goes solo, starts or is changed");
        }
    }

    private sealed class Silence
    {
        private int _silentLooks;

        /// <summary>What is to be told, if anything.</summary>
        public bool? Changed(bool answers)
        {
            var silentBefore = _silentLooks;
            _silentLooks = answers ? 0 : Math.Min(silentBefore + 1, 2);
            return (silentBefore, _silentLooks) switch
            {
                (1, 2) => false,
                (2, 0) => true,
                _ => null,
            };
        }
    }
}
