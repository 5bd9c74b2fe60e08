using System.Text;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Core;

namespace Pollux.Cluster.Store;

/// <summary>How to reach etcd.</summary>
/// <param name="Endpoints">Every member's client URL (http or https).</param>
/// <param name="Tls">The own certificate, required for https.</param>
public sealed record EtcdOptions(IReadOnlyList<string> Endpoints, TlsFiles? Tls = null)
{
    /// <summary>How long one call may take before its outcome counts as unknown.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How often idle connections are used, and members' health is learned.</summary>
    public TimeSpan WarmEvery { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>
/// The cluster's truth in etcd, over its JSON gateway.
/// <list type="bullet">
/// <item>Reads are linearizable and race over all members.</item>
/// <item>A write is always a compare-and-swap sent to every member in identical copies. Copies that arrive late cannot undo a
/// later write, since they compare the key's revision; and a copy that finds the value already ours reports success.</item>
/// <item>A watch begins with what is there, moves to another member when its own falls silent, and misses nothing.</item>
/// </list>
/// </summary>
public sealed class EtcdStore : IClusterStore
{
    private const int PutAttempts = 8;

    private readonly PeerTls? tls;
    private readonly TimeProvider clock;
    private readonly IReadOnlyList<EtcdMember> members;
    private readonly EtcdRace race;
    private readonly EtcdWarmer warmer;

    /// <exception cref="PolluxException">An endpoint is no URL, or the TLS files cannot be used.</exception>
    public EtcdStore(EtcdOptions options, TimeProvider? clock = null)
    {
        this.clock = clock ?? TimeProvider.System;
        CallDeadline = options.Deadline;
        if (options.Endpoints.Count == 0)
        {
            throw new PolluxException("no etcd endpoint is given", "name every member's client URL");
        }

        tls = options.Tls is null ? null : PeerTls.Open(options.Tls);
        members = [.. options.Endpoints.Select(e => new EtcdMember(ParseEndpoint(e, tls is not null), tls, this.clock))];
        race = new EtcdRace(members, this.clock);
        warmer = new EtcdWarmer(members, options.WarmEvery, this.clock);
        Maintenance = new EtcdMaintenance(members);
    }

    /// <summary>How long a call may take; may be changed at any time and holds for calls begun afterwards.</summary>
    public TimeSpan CallDeadline { get; set; }

    /// <summary>Members, their health, and moving the leader.</summary>
    public EtcdMaintenance Maintenance { get; }

    /// <summary>Whether a quorum answered some member within the last few seconds; meaningful while warming.</summary>
    public bool IsAnswering => members.Any(m => m.SinceAnswer < TimeSpan.FromSeconds(3));

    /// <summary>
    /// Opens connections to every member and runs each kind of call once, so that a takeover's swap finds open connections and
    /// compiled code. Members that do not answer are left out.
    /// </summary>
    public async Task WarmAsync(CancellationToken cancellation)
    {
        await warmer.OnceAsync(CallDeadline, cancellation).ConfigureAwait(false);
        await SwapAsync(new Swap(EtcdWarmer.Key, long.MaxValue, "never", EtcdWarmer.Key), cancellation).ConfigureAwait(false);
    }

    /// <summary>Warms now and keeps warm until the store is disposed of.</summary>
    public async Task StartWarmingAsync(CancellationToken cancellation)
    {
        await WarmAsync(cancellation).ConfigureAwait(false);
        warmer.Start();
    }

    public async Task<StoreEntry?> GetAsync(string key, CancellationToken cancellation)
    {
        var answer = await RangeAsync(new RangeRequest(EtcdKey.Of(key)), cancellation).ConfigureAwait(false);
        return answer.Kvs is [var kv, ..] ? kv.ToEntry() : null;
    }

    public async Task<IReadOnlyList<StoreEntry>> ListAsync(string prefix, CancellationToken cancellation)
    {
        var answer = await RangeAsync(new RangeRequest(EtcdKey.Of(prefix), EtcdKey.EndOfPrefix(prefix)), cancellation).ConfigureAwait(false);
        return [.. (answer.Kvs ?? []).Select(kv => kv.ToEntry())];
    }

    public async Task<SwapOutcome> SwapAsync(Swap swap, CancellationToken cancellation)
    {
        var judge = new SwapJudge(swap);
        var request = judge.Request();
        var answers = race.AnswersAsync(
            (member, deadline) => member.CallAsync("v3/kv/txn", request, EtcdJson.Default.TxnRequest, EtcdJson.Default.TxnAnswer, deadline),
            CallDeadline, cancellation);
        await foreach (var (answer, failure) in answers.ConfigureAwait(false))
        {
            var outcome = answer is not null ? judge.Hear(answer) : judge.Hear(failure!);
            if (outcome is not null)
            {
                return outcome;
            }
        }

        return judge.AfterAll();
    }

    public async Task PutAsync(string key, string value, long leaseId, CancellationToken cancellation)
    {
        for (var attempt = 0; attempt < PutAttempts; attempt++)
        {
            var current = await GetAsync(key, cancellation).ConfigureAwait(false);
            var outcome = await SwapAsync(new Swap(key, current?.ModRevision ?? 0, value, LeaseId: leaseId), cancellation).ConfigureAwait(false);
            switch (outcome)
            {
                case SwapOutcome.Won:
                    return;
                case SwapOutcome.Unknown unknown:
                    throw new StoreUnavailableException(unknown.Why);
                case SwapOutcome.Lost { LeaseGone: true }:
                    throw new LeaseGoneException(leaseId);
            }
        }

        throw new StoreUnavailableException($"{key} changed {PutAttempts} times while it was being written");
    }

    public async Task DeleteAsync(string key, CancellationToken cancellation)
    {
        while (await GetAsync(key, cancellation).ConfigureAwait(false) is { } current)
        {
            var request = new TxnRequest(
                [new Compare(EtcdKey.Of(key), "MOD", "EQUAL", ModRevision: current.ModRevision)],
                [new RequestOp(RequestDeleteRange: new DeleteRangeRequest(EtcdKey.Of(key)))],
                []);
            await race.FirstAsync(
                (member, deadline) => member.CallAsync("v3/kv/txn", request, EtcdJson.Default.TxnRequest, EtcdJson.Default.TxnAnswer, deadline),
                CallDeadline, cancellation).ConfigureAwait(false);
        }
    }

    public async Task<long> GrantLeaseAsync(TimeSpan timeToLive, CancellationToken cancellation)
    {
        var id = Random.Shared.NextInt64(1, long.MaxValue);
        var request = new LeaseGrantRequest((long)Math.Ceiling(timeToLive.TotalSeconds), id);
        await race.FirstAsync((member, deadline) => GrantAsync(member, request, deadline), CallDeadline, cancellation).ConfigureAwait(false);
        return id;
    }

    public async Task<bool> KeepAliveAsync(long leaseId, CancellationToken cancellation)
    {
        var answer = await race.FirstAsync(
            (member, deadline) => KeepAliveAsync(member, leaseId, deadline), CallDeadline, cancellation).ConfigureAwait(false);
        return answer.Ttl > 0;
    }

    public Task RevokeLeaseAsync(long leaseId, CancellationToken cancellation) =>
        race.FirstAsync((member, deadline) => RevokeAsync(member, leaseId, deadline), CallDeadline, cancellation);

    public IAsyncEnumerable<StoreChange> WatchAsync(string prefix, CancellationToken cancellation) =>
        new EtcdWatch(members, this, clock).ChangesAsync(prefix, cancellation);

    public async ValueTask DisposeAsync()
    {
        await warmer.DisposeAsync().ConfigureAwait(false);
        await race.DisposeAsync().ConfigureAwait(false);
        foreach (var member in members)
        {
            member.Dispose();
        }

        tls?.Dispose();
    }

    internal Task<RangeAnswer> RangeAsync(RangeRequest request, CancellationToken cancellation) => race.FirstAsync(
        (member, deadline) => member.CallAsync("v3/kv/range", request, EtcdJson.Default.RangeRequest, EtcdJson.Default.RangeAnswer, deadline),
        CallDeadline, cancellation);

    private static async Task<long> GrantAsync(EtcdMember member, LeaseGrantRequest request, CancellationToken deadline)
    {
        try
        {
            await member.CallAsync("v3/lease/grant", request, EtcdJson.Default.LeaseGrantRequest, EtcdJson.Default.LeaseAnswer, deadline).ConfigureAwait(false);
        }
        catch (EtcdFailure e) when (e.Code == EtcdFailure.FailedPrecondition && e.Message.Contains("already exists", StringComparison.Ordinal))
        {
            // Another copy of this very grant came first: the id is random.
        }

        return request.Id;
    }

    private static async Task<LeaseAnswer> KeepAliveAsync(EtcdMember member, long leaseId, CancellationToken deadline)
    {
        var line = await member.CallAsync(
            "v3/lease/keepalive", new LeaseRequest(leaseId), EtcdJson.Default.LeaseRequest, EtcdJson.Default.KeepAliveLine, deadline).ConfigureAwait(false);
        return line.Result ?? throw new EtcdFailure(EtcdFailureKind.Refused, $"{member.Endpoint.Authority}: {line.Error?.Message}");
    }

    private static async Task<bool> RevokeAsync(EtcdMember member, long leaseId, CancellationToken deadline)
    {
        try
        {
            await member.CallAsync("v3/lease/revoke", new LeaseRequest(leaseId), EtcdJson.Default.LeaseRequest, EtcdJson.Default.EmptyRequest, deadline).ConfigureAwait(false);
        }
        catch (EtcdFailure e) when (e.Code == EtcdFailure.NotFound)
        {
            // Gone is what was asked for.
        }

        return true;
    }

    private static Uri ParseEndpoint(string endpoint, bool hasTls)
    {
        if (!Uri.TryCreate(endpoint, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw new PolluxException($"'{endpoint}' is not an etcd endpoint", "write it as https://ADDRESS:PORT");
        }

        return uri.Scheme == "http" || hasTls
            ? uri
            : throw new PolluxException($"the etcd endpoint {endpoint} needs certificates", "configure tls: ca, certificate and key");
    }
}
