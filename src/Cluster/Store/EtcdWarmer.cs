namespace Pollux.Cluster.Store;

/// <summary>
/// Keeps two connections to every member open and used, and learns which members have a quorum: a first HTTP call costs
/// 100 ms, a warm one 0.5 ms, and a takeover has no time for the former. A silent member delays no other.
/// </summary>
internal sealed class EtcdWarmer(IReadOnlyList<EtcdMember> members, TimeSpan every, TimeProvider clock) : IAsyncDisposable
{
    internal const string Key = StoreKeys.Root + "warm";

    /// <summary>Two, since a swap may meet a warming read under way.</summary>
    private const int ConnectionsPerMember = 2;

    private static readonly TimeSpan ReadDeadline = TimeSpan.FromSeconds(2);

    private readonly CancellationTokenSource closing = new();
    private Task loops = Task.CompletedTask;

    internal void Start() => loops = Task.WhenAll(members.Select(RunAsync));

    /// <summary>One round over all members; those that fail are skipped.</summary>
    internal async Task OnceAsync(TimeSpan within, CancellationToken cancellation)
    {
        await Task.WhenAll(members.Select(m => WarmAsync(m, within, cancellation))).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync().ConfigureAwait(false);
        await loops.ConfigureAwait(false);
        closing.Dispose();
    }

    private async Task RunAsync(EtcdMember member)
    {
        using var timer = new PeriodicTimer(every, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(closing.Token).ConfigureAwait(false))
            {
                await WarmAsync(member, ReadDeadline, closing.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (closing.IsCancellationRequested)
        {
        }
    }

    private async Task WarmAsync(EtcdMember member, TimeSpan within, CancellationToken cancellation)
    {
        using var deadline = new CancellationTokenSource(within, clock);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
        await Task.WhenAll(Enumerable.Range(0, ConnectionsPerMember).Select(_ => ReadAsync(member, end.Token))).ConfigureAwait(false);
    }

    private static async Task ReadAsync(EtcdMember member, CancellationToken deadline)
    {
        try
        {
            await member.CallAsync(
                "v3/kv/range", new RangeRequest(EtcdKey.Of(Key)), EtcdJson.Default.RangeRequest, EtcdJson.Default.RangeAnswer, deadline).ConfigureAwait(false);
        }
        catch (EtcdFailure)
        {
            // A silent member shows by the age of its last answer.
        }
    }
}
