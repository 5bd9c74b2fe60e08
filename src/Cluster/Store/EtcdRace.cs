namespace Pollux.Cluster.Store;

/// <summary>
/// Sends one call to every member at once. The first answer wins; the others run on to their own deadline, because aborting
/// them would close their warm connections. They stay owned here and end with the store.
/// </summary>
internal sealed class EtcdRace(IReadOnlyList<EtcdMember> members, TimeProvider clock) : IAsyncDisposable
{
    private readonly CancellationTokenSource closing = new();
    private readonly HashSet<Task> stragglers = [];

    /// <summary>The first answer of any member.</summary>
    /// <exception cref="StoreUnavailableException">None answered within <paramref name="within"/>.</exception>
    internal async Task<T> FirstAsync<T>(Func<EtcdMember, CancellationToken, Task<T>> call, TimeSpan within, CancellationToken cancellation)
    {
        var failures = new List<EtcdFailure>();
        await foreach (var (answer, failure) in AnswersAsync(call, within, cancellation).ConfigureAwait(false))
        {
            if (failure is null)
            {
                return answer!;
            }

            failures.Add(failure);
        }

        throw new StoreUnavailableException(string.Join(", ", failures.Select(f => f.Message)), failures[0]);
    }

    /// <summary>Every member's answer or failure as it comes; the caller may stop at any of them.</summary>
    internal async IAsyncEnumerable<(T? Answer, EtcdFailure? Failure)> AnswersAsync<T>(
        Func<EtcdMember, CancellationToken, Task<T>> call,
        TimeSpan within,
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var deadline = new CancellationTokenSource(within, clock);
        var end = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, closing.Token);
        var running = members.Select(m => Try(call, m, end.Token)).ToList();
        var settled = Settle(running.ToArray(), deadline, end);
        Adopt(settled);
        while (running.Count > 0)
        {
            var next = await Task.WhenAny(running).WaitAsync(cancellation).ConfigureAwait(false);
            running.Remove(next);
            yield return await next.ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync().ConfigureAwait(false);
        Task[] left;
        lock (stragglers)
        {
            left = [.. stragglers];
        }

        await Task.WhenAll(left).ConfigureAwait(false);
        closing.Dispose();
    }

    private static async Task<(T?, EtcdFailure?)> Try<T>(Func<EtcdMember, CancellationToken, Task<T>> call, EtcdMember member, CancellationToken deadline)
    {
        try
        {
            return (await call(member, deadline).ConfigureAwait(false), null);
        }
        catch (EtcdFailure failure)
        {
            return (default, failure);
        }
    }

    private static async Task Settle(Task[] calls, CancellationTokenSource deadline, CancellationTokenSource end)
    {
        await Task.WhenAll(calls).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        end.Dispose();
        deadline.Dispose();
    }

    private void Adopt(Task settled)
    {
        lock (stragglers)
        {
            stragglers.RemoveWhere(t => t.IsCompleted);
            stragglers.Add(settled);
        }
    }
}
