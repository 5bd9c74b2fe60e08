using System.Threading.Channels;

namespace Pollux.Cluster.Store;

/// <summary>
/// Sends one call to every member at once. The first answer wins; the others run on to their own deadline, because aborting
/// them would close their warm connections. They stay owned here and end with the store.
/// </summary>
internal sealed class EtcdRace(IReadOnlyList<EtcdMember> members, TimeProvider clock) : IAsyncDisposable
{
    private const int CallsMax = 4;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(30);
    private static readonly TimeSpan HedgeAfter = TimeSpan.FromMilliseconds(250);

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

        throw new StoreUnavailableException(string.Join(", ", failures.Select(f => f.Message).Distinct()), failures[0]);
    }

    /// <summary>
    /// Every member's answer or failure as it comes; the caller may stop at any of them. A member that fails is asked again a little
    /// later, and one that is silent once more beside the first call, until the deadline: a request that was on its way to a leader
    /// that died is answered late or never, while the same request sent anew is answered as soon as there is a new leader.
    /// </summary>
    internal async IAsyncEnumerable<(T? Answer, EtcdFailure? Failure)> AnswersAsync<T>(
        Func<EtcdMember, CancellationToken, Task<T>> call,
        TimeSpan within,
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var deadline = new CancellationTokenSource(within, clock);
        var end = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, closing.Token);
        var heard = Channel.CreateUnbounded<(T?, EtcdFailure?)>();
        var enough = new CancellationTokenSource();
        var asking = members.Select(m => AskUntilAnsweredAsync(call, m, heard.Writer, enough.Token, end.Token)).ToArray();
        Adopt(SettleAsync(asking, heard.Writer, deadline, end));
        try
        {
            await foreach (var answer in heard.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                yield return answer;
            }
        }
        finally
        {
            // What is under way may end by itself; nothing new is begun.
            await enough.CancelAsync().ConfigureAwait(false);
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

    private async Task AskUntilAnsweredAsync<T>(
        Func<EtcdMember, CancellationToken, Task<T>> call, EtcdMember member, ChannelWriter<(T?, EtcdFailure?)> heard, CancellationToken enough, CancellationToken deadline)
    {
        var calls = new List<Task<(T?, EtcdFailure?)>> { TryAsync(call, member, deadline) };
        var pause = FirstPause;
        while (calls.Count > 0)
        {
            var beside = calls.Count < CallsMax ? DelayAsync(HedgeAfter, enough, deadline) : null;
            var next = await Task.WhenAny(beside is null ? calls : [.. calls, beside]).ConfigureAwait(false);
            if (next == beside)
            {
                if (enough.IsCancellationRequested || deadline.IsCancellationRequested)
                {
                    break;
                }
                calls.Add(TryAsync(call, member, deadline));
                continue;
            }
            var answer = await (Task<(T?, EtcdFailure?)>)next;
            calls.Remove((Task<(T?, EtcdFailure?)>)next);
            heard.TryWrite(answer);
            if (answer.Item2 is null or { Kind: EtcdFailureKind.Refused, Code: EtcdFailure.NotFound or EtcdFailure.FailedPrecondition })
            {
                break;
            }
            await DelayAsync(pause, enough, deadline).ConfigureAwait(false);
            if (enough.IsCancellationRequested || deadline.IsCancellationRequested)
            {
                break;
            }
            pause *= 2;
            calls.Add(TryAsync(call, member, deadline));
        }
        // Aborting the others would close their warm connections.
        foreach (var rest in await Task.WhenAll(calls).ConfigureAwait(false))
        {
            heard.TryWrite(rest);
        }
    }

    private static async Task<(T?, EtcdFailure?)> TryAsync<T>(Func<EtcdMember, CancellationToken, Task<T>> call, EtcdMember member, CancellationToken deadline)
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

    private async Task DelayAsync(TimeSpan time, CancellationToken enough, CancellationToken deadline)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(enough, deadline);
        await Task.Delay(time, clock, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static async Task SettleAsync<T>(Task[] asking, ChannelWriter<T> heard, CancellationTokenSource deadline, CancellationTokenSource end)
    {
        await Task.WhenAll(asking).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        heard.TryComplete();
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
