using Pollux.Cluster.Events;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Events;

/// <summary>
/// Whether etcd answers, as this host sees it, and what is told when that changes. A member must be silent at two looks in a row, or a slow
/// answer would be news. Pure but for what it remembers.
/// </summary>
internal sealed class EtcdNews(HostId me)
{
    private readonly Dictionary<string, Member> _members = [];
    private bool _hasMajority = true;

    public IEnumerable<EventDraft> Look(bool hasMajority, IReadOnlyList<EtcdMemberView> members)
    {
        foreach (var view in members)
        {
            var member = _members.TryGetValue(view.Endpoint, out var known) ? known : _members[view.Endpoint] = new Member(view.Endpoint);
            member.Name = view.Name.Length > 0 ? view.Name : member.Name;
            if (member.Changed(view.Answers) is { } answers)
            {
                yield return answers
                    ? new EventDraft(EventKinds.EtcdMemberBack, EventWeight.Info, $"etcd on {member} answers {me} again")
                    : new EventDraft(EventKinds.EtcdMemberLost, EventWeight.Warning, $"etcd on {member} does not answer {me}");
            }
        }
        if (hasMajority == _hasMajority)
        {
            yield break;
        }
        _hasMajority = hasMajority;
        yield return hasMajority
            ? new EventDraft(EventKinds.EtcdBack, EventWeight.Info, $"a majority of etcd answers {me} again")
            : new EventDraft(EventKinds.EtcdLost, EventWeight.Alarm,
                $"no majority of etcd answers {me}: what runs goes on and stays protected, but until it is back nothing takes over, goes solo, starts or is changed");
    }

    private sealed class Member(string endpoint)
    {
        private int _silentLooks;

        public string Name { get; set; } = "";

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

        public override string ToString() => Name.Length > 0 ? $"{Name} ({endpoint})" : endpoint;
    }
}
