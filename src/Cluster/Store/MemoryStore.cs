using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Pollux.Cluster.Store;

/// <summary>What a client asks of a store, for deciding whether it shall fail.</summary>
public enum StoreCall
{
    Get,
    List,
    Swap,
    Put,
    Delete,
    GrantLease,
    KeepAlive,
    RevokeLease,
    Watch,
}

/// <summary>How a call to a <see cref="MemoryStore"/> fails.</summary>
public enum StoreFault
{
    None,

    /// <summary>Nothing happens and no answer comes.</summary>
    Unavailable,

    /// <summary>It happens, but no answer comes.</summary>
    AnswerLost,

    /// <summary>No answer comes, and it happens only at <see cref="MemoryStore.DeliverDelayed"/>. For swaps.</summary>
    Delayed,
}

/// <summary>
/// A store in memory with the contract of <see cref="EtcdStore"/>, for tests and simulation. One object is one client of it;
/// <see cref="Connect"/> makes further clients of the same store, each with faults of its own.
/// </summary>
public sealed class MemoryStore : IClusterStore
{
    private const int WatchBacklogMax = 1 << 16;

    private readonly MemoryState state;
    private readonly Queue<Swap> delayed = [];

    public MemoryStore(TimeProvider? clock = null) : this(new MemoryState(clock ?? TimeProvider.System))
    {
    }

    private MemoryStore(MemoryState state) => this.state = state;

    /// <summary>Asked at each call of this client; null: nothing fails.</summary>
    public Func<StoreCall, string, StoreFault>? Faults { get; set; }

    /// <summary>Another client of the same store.</summary>
    public MemoryStore Connect() => new(state);

    /// <summary>Lets swaps that were delayed happen now, in their order.</summary>
    public void DeliverDelayed()
    {
        while (delayed.TryDequeue(out var swap))
        {
            state.Swap(swap);
        }
    }

    public Task<StoreEntry?> GetAsync(string key, CancellationToken cancellation) =>
        Call(StoreCall.Get, key, () => state.Get(key), cancellation);

    public Task<IReadOnlyList<StoreEntry>> ListAsync(string prefix, CancellationToken cancellation) =>
        Call(StoreCall.List, prefix, () => state.List(prefix), cancellation);

    public Task<SwapOutcome> SwapAsync(Swap swap, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var fault = Faults?.Invoke(StoreCall.Swap, swap.Key) ?? StoreFault.None;
        if (fault == StoreFault.Delayed)
        {
            delayed.Enqueue(swap);
        }

        var outcome = fault is StoreFault.None or StoreFault.AnswerLost ? state.Swap(swap) : null;
        return Task.FromResult(fault == StoreFault.None ? outcome! : new SwapOutcome.Unknown($"injected: {fault}"));
    }

    public Task PutAsync(string key, string value, long leaseId, CancellationToken cancellation) => Call(
        StoreCall.Put, key, () => state.Put(key, value, leaseId) ? true : throw new LeaseGoneException(leaseId), cancellation);

    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        Call(StoreCall.Delete, key, () => state.Delete(key), cancellation);

    public Task<long> GrantLeaseAsync(TimeSpan timeToLive, CancellationToken cancellation) =>
        Call(StoreCall.GrantLease, "", () => state.Grant(timeToLive), cancellation);

    public Task<bool> KeepAliveAsync(long leaseId, CancellationToken cancellation) =>
        Call(StoreCall.KeepAlive, "", () => state.KeepAlive(leaseId), cancellation);

    public Task RevokeLeaseAsync(long leaseId, CancellationToken cancellation) =>
        Call(StoreCall.RevokeLease, "", () => state.Revoke(leaseId), cancellation);

    public async IAsyncEnumerable<StoreChange> WatchAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var channel = Channel.CreateBounded<StoreChange>(new BoundedChannelOptions(WatchBacklogMax) { FullMode = BoundedChannelFullMode.Wait });
        var present = await Call(StoreCall.Watch, prefix, () => state.Watch(prefix, channel.Writer), cancellation).ConfigureAwait(false);
        try
        {
            foreach (var entry in present)
            {
                yield return new StoreChange(entry.Key, entry.Value, entry.ModRevision);
            }

            while (true)
            {
                var change = await channel.Reader.ReadAsync(cancellation).ConfigureAwait(false);
                if (Faults?.Invoke(StoreCall.Watch, prefix) is StoreFault.Unavailable or StoreFault.AnswerLost)
                {
                    throw new StoreUnavailableException("injected: the watch broke");
                }

                yield return change;
            }
        }
        finally
        {
            state.Unwatch(channel.Writer);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task<T> Call<T>(StoreCall call, string key, Func<T> run, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
        {
            return Task.FromCanceled<T>(cancellation);
        }

        var fault = Faults?.Invoke(call, key) ?? StoreFault.None;
        try
        {
            var answer = fault is StoreFault.None or StoreFault.AnswerLost ? run() : default;
            return fault == StoreFault.None
                ? Task.FromResult(answer!)
                : Task.FromException<T>(new StoreUnavailableException($"injected: {fault}"));
        }
        catch (LeaseGoneException e)
        {
            return Task.FromException<T>(e);
        }
    }
}
