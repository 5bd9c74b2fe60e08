using System.Threading.Channels;

namespace Pollux.Cluster.Store;

/// <summary>Keys, revisions, leases and watchers of a store in memory, as etcd has them. Safe for any thread.</summary>
internal sealed class MemoryState(TimeProvider clock)
{
    private readonly Lock gate = new();
    private readonly SortedDictionary<string, Item> items = new(StringComparer.Ordinal);
    private readonly Dictionary<long, Lease> leases = [];
    private readonly List<(string Prefix, ChannelWriter<StoreChange> Writer)> watchers = [];
    private long revision = 1;
    private long lastLease;

    internal StoreEntry? Get(string key) => Locked(() => Entry(key));

    internal IReadOnlyList<StoreEntry> List(string prefix) => Locked(() => Under(prefix));

    internal SwapOutcome Swap(Swap swap) => Locked<SwapOutcome>(() =>
    {
        if (swap.LeaseId != 0 && !leases.ContainsKey(swap.LeaseId))
        {
            return new SwapOutcome.Lost(Entry(swap.Key), LeaseGone: true);
        }

        items.TryGetValue(swap.Key, out var item);
        if (item is not null && item.Value == swap.Value && item.LeaseId == swap.LeaseId)
        {
            return item.ModRevision == swap.ExpectedModRevision && Allowed(swap)
                ? new SwapOutcome.Won(Write(swap.Key, swap.Value, swap.LeaseId))
                : new SwapOutcome.Won(item.ModRevision);
        }

        var expected = (item?.ModRevision ?? 0) == swap.ExpectedModRevision;
        return expected && Allowed(swap)
            ? new SwapOutcome.Won(Write(swap.Key, swap.Value, swap.LeaseId))
            : new SwapOutcome.Lost(Entry(swap.Key), LeaseGone: expected);
    });

    internal bool Put(string key, string value, long leaseId) => Locked(() =>
    {
        var alive = leaseId == 0 || leases.ContainsKey(leaseId);
        if (alive)
        {
            Write(key, value, leaseId);
        }

        return alive;
    });

    internal bool Delete(string key) => Locked(() => Remove(key));

    internal long Grant(TimeSpan timeToLive) => Locked(() =>
    {
        var id = ++lastLease;
        leases[id] = new Lease(timeToLive, clock.GetTimestamp(), clock.CreateTimer(_ => Locked(() => true), null, timeToLive, timeToLive));
        return id;
    });

    internal bool KeepAlive(long leaseId) => Locked(() =>
    {
        if (!leases.TryGetValue(leaseId, out var lease))
        {
            return false;
        }

        lease.Timer.Change(lease.TimeToLive, lease.TimeToLive);
        leases[leaseId] = lease with { RenewedAt = clock.GetTimestamp() };
        return true;
    });

    internal bool Revoke(long leaseId) => Locked(() => End(leaseId));

    internal IReadOnlyList<StoreEntry> Watch(string prefix, ChannelWriter<StoreChange> writer) => Locked(() =>
    {
        watchers.Add((prefix, writer));
        return Under(prefix);
    });

    internal void Unwatch(ChannelWriter<StoreChange> writer) => Locked(() => watchers.RemoveAll(w => w.Writer == writer));

    private T Locked<T>(Func<T> run)
    {
        lock (gate)
        {
            foreach (var (id, lease) in leases.Where(l => clock.GetElapsedTime(l.Value.RenewedAt) >= l.Value.TimeToLive).ToList())
            {
                End(id);
            }

            return run();
        }
    }

    private bool Allowed(Swap swap) => swap.RequiredKey is null || items.ContainsKey(swap.RequiredKey);

    private StoreEntry? Entry(string key) => items.TryGetValue(key, out var item) ? new(key, item.Value, item.ModRevision) : null;

    private IReadOnlyList<StoreEntry> Under(string prefix) =>
        [.. items.Where(i => i.Key.StartsWith(prefix, StringComparison.Ordinal)).Select(i => new StoreEntry(i.Key, i.Value.Value, i.Value.ModRevision))];

    private long Write(string key, string value, long leaseId)
    {
        items[key] = new Item(value, ++revision, leaseId);
        Tell(new StoreChange(key, value, revision));
        return revision;
    }

    private bool Remove(string key)
    {
        if (!items.Remove(key))
        {
            return false;
        }

        Tell(new StoreChange(key, null, ++revision));
        return true;
    }

    private bool End(long leaseId)
    {
        if (!leases.Remove(leaseId, out var lease))
        {
            return false;
        }

        lease.Timer.Dispose();
        foreach (var key in items.Where(i => i.Value.LeaseId == leaseId).Select(i => i.Key).ToList())
        {
            Remove(key);
        }

        return true;
    }

    private void Tell(StoreChange change)
    {
        foreach (var (prefix, writer) in watchers)
        {
            if (change.Key.StartsWith(prefix, StringComparison.Ordinal) && !writer.TryWrite(change))
            {
                writer.TryComplete(new StoreUnavailableException("a watcher reads too slowly"));
            }
        }
    }

    private sealed record Item(string Value, long ModRevision, long LeaseId);

    private sealed record Lease(TimeSpan TimeToLive, long RenewedAt, ITimer Timer);
}
