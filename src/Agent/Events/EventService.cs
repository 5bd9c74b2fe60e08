using System.Globalization;
using Pollux.Agent.Api;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Events;

/// <summary>The events of this host, and of all hosts as one story.</summary>
internal sealed class EventService(AgentConfig config, Peers peers, ReconcileLoop loop)
{
    /// <summary>In one answer.</summary>
    public const int Most = 10_000;

    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(2);

    /// <summary>A host whose lease ran out may still answer; it is not waited for long.</summary>
    private static readonly TimeSpan DeadAnswerWithin = TimeSpan.FromMilliseconds(300);

    /// <param name="sinceUnixMs">Only events of this time and later.</param>
    /// <param name="vm">Only those about this VM.</param>
    public Task<EventsDocument> LocalAsync(long sinceUnixMs, string? vm, int most) => Task.Run(() =>
    {
        var name = vm is null ? (VmName?)null : VmName.Create(vm);
        var events = EventFile.Read(config.EventsFile, TimeOf(sinceUnixMs)).Where(e => name is null || e.Vm == name).ToList();
        return Cut(events, [], Math.Clamp(most, 1, Most));
    });

    /// <summary>What every host tells that answers; those that do not are named.</summary>
    public async Task<EventsDocument> AllAsync(long sinceUnixMs, string? vm, int most, CancellationToken cancellation)
    {
        var alive = loop.Seen?.Hosts ?? new Dictionary<HostId, HostRecord>();
        var known = loop.KnownHosts;
        var others = known.Keys.Where(h => h != config.Host).ToList();
        var answers = await Task.WhenAll(others.Select(h => AskAsync(known[h], alive.ContainsKey(h), sinceUnixMs, vm, most, cancellation))).ConfigureAwait(false);
        var own = await LocalAsync(sinceUnixMs, vm, most).ConfigureAwait(false);
        var silent = others.Zip(answers).Where(p => p.Second.Why is not null).Select(p => new SilentHost(p.First, p.Second.Why!))
            .Concat(NamedOnly(known).Select(h => new SilentHost(h, "it is not alive")));
        var documents = answers.Select(a => a.Events).OfType<EventsDocument>().Append(own).ToList();
        var cut = Cut(EventMerge.Merge(documents.Select(d => d.Events)), [.. silent], most);
        return documents.Any(d => d.IsCut) ? cut with { IsCut = true } : cut;
    }

    private async Task<(EventsDocument? Events, string? Why)> AskAsync(
        HostRecord host, bool isAlive, long sinceUnixMs, string? vm, int most, CancellationToken cancellation)
    {
        try
        {
            return (await peers.Of(host).EventsAsync(sinceUnixMs, vm, most, ofHostOnly: true, isAlive ? AnswerWithin : DeadAnswerWithin, cancellation).ConfigureAwait(false), null);
        }
        catch (PolluxException e)
        {
            return (null, !isAlive ? "it is not alive" : e is OutcomeUnknownException or AgentUnreachableException ? "its agent does not answer" : e.Problem);
        }
    }

    /// <summary>Hosts that VMs are said to be on, which have not been alive since this agent began.</summary>
    private IEnumerable<HostId> NamedOnly(IReadOnlyDictionary<HostId, HostRecord> known) => (loop.Seen?.Vms.Values ?? [])
        .SelectMany(v => (HostId?[])[v.Record?.Home, v.Role?.Primary.Host, v.Role?.Standby?.Host, v.Assignment?.Host])
        .OfType<HostId>().Distinct().Where(h => h != config.Host && !known.ContainsKey(h));

    private static EventsDocument Cut(IReadOnlyList<ClusterEvent> events, IReadOnlyList<SilentHost> silent, int most) =>
        new(events.Count > most ? [.. events.TakeLast(most)] : events, silent, events.Count > most);

    private static DateTimeOffset TimeOf(long unixMs)
    {
        try
        {
            return DateTimeOffset.FromUnixTimeMilliseconds(unixMs);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw new PolluxException(string.Create(CultureInfo.InvariantCulture, $"{unixMs} is no time in milliseconds since 1970"), null, e);
        }
    }
}
