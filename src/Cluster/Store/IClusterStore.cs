namespace Pollux.Cluster.Store;

/// <summary>A key's value as a linearizable read showed it.</summary>
/// <param name="ModRevision">The store's revision at which the value was written; what a swap compares.</param>
public sealed record StoreEntry(string Key, string Value, long ModRevision);

/// <summary>How a compare-and-swap ended. Unknown is not lost (rule 2 of the pair).</summary>
public abstract record SwapOutcome
{
    /// <summary>The value is written, at <paramref name="ModRevision"/>.</summary>
    public sealed record Won(long ModRevision) : SwapOutcome;

    /// <summary>The comparison failed: <paramref name="Current"/> is what the key holds now (null: no such key).</summary>
    /// <param name="LeaseGone">The key was as expected but a required key (the own host's lease) is absent.</param>
    public sealed record Lost(StoreEntry? Current, bool LeaseGone) : SwapOutcome;

    /// <summary>No answer in time, or no quorum: the swap may or may not have happened. Repeat the same swap, or read.</summary>
    public sealed record Unknown(string Why) : SwapOutcome;
}

/// <summary>One compare-and-swap.</summary>
/// <param name="ExpectedModRevision">0: the key must not exist.</param>
/// <param name="RequiredKey">A key that must exist for the swap to win (the own host's lease), or null.</param>
/// <param name="LeaseId">The lease to bind the value to, 0 for none.</param>
public sealed record Swap(string Key, long ExpectedModRevision, string Value, string? RequiredKey = null, long LeaseId = 0);

/// <summary>A change seen by a watch. <see cref="Entry"/>'s value is null when the key was deleted.</summary>
public sealed record StoreChange(string Key, string? Value, long ModRevision);

/// <summary>
/// The cluster's truth: etcd in the product, in memory in tests, with one contract.
/// Reads are linearizable. Every call throws <see cref="StoreUnavailableException"/> when no answer came in time,
/// except <see cref="SwapAsync"/>, which says <see cref="SwapOutcome.Unknown"/>.
/// </summary>
public interface IClusterStore : IAsyncDisposable
{
    Task<StoreEntry?> GetAsync(string key, CancellationToken cancellation);
    Task<IReadOnlyList<StoreEntry>> ListAsync(string prefix, CancellationToken cancellation);

    /// <summary>Sends the identical swap to every member at once; the first definite answer counts.</summary>
    Task<SwapOutcome> SwapAsync(Swap swap, CancellationToken cancellation);

    Task PutAsync(string key, string value, long leaseId, CancellationToken cancellation);
    Task DeleteAsync(string key, CancellationToken cancellation);

    /// <summary>Grants a lease and returns its id.</summary>
    Task<long> GrantLeaseAsync(TimeSpan timeToLive, CancellationToken cancellation);

    /// <summary>Renews; false when the lease is gone.</summary>
    Task<bool> KeepAliveAsync(long leaseId, CancellationToken cancellation);
    Task RevokeLeaseAsync(long leaseId, CancellationToken cancellation);

    /// <summary>
    /// First every entry under the prefix as it is, then each change after it, without a gap. Ends only by throwing: cancelled,
    /// or <see cref="StoreUnavailableException"/> when no member carries it on, so the caller watches again.
    /// </summary>
    IAsyncEnumerable<StoreChange> WatchAsync(string prefix, CancellationToken cancellation);
}

/// <summary>The store gave no answer in time; whether a write happened is unknown.</summary>
public sealed class StoreUnavailableException(string why, Exception? cause = null)
    : Core.PolluxException($"the cluster store does not answer: {why}", "check that a majority of the etcd members runs (pollux doctor)", cause);

/// <summary>A value was to be bound to a lease that has run out or was revoked; nothing was written.</summary>
public sealed class LeaseGoneException(long leaseId)
    : Core.PolluxException($"the lease {leaseId} is gone", "the agent grants a new one within seconds");
