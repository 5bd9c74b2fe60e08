using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <summary>
/// The keeper's hand on the role key: reads and swaps that the pair's machine asks for, one at a time, their outcomes reported as events.
/// A time-out is never a success: it is <see cref="PairEvent.SwapUnknown"/> or <see cref="PairEvent.ReadFailed"/>.
/// </summary>
internal sealed class RoleKeeper(IClusterStore store, VmName vm, HostId host, Action<PairEvent> post) : IDisposable
{
    private static readonly TimeSpan AgainAfter = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan WatchEvery = TimeSpan.FromMilliseconds(20);
    private readonly CancellationTokenSource _ended = new();
    private readonly string _key = StoreKeys.Role(vm);
    private int _watching;

    /// <param name="question">Goes into the answer (<see cref="PairState.Question"/>).</param>
    public void Read(bool again, long question) => Run(async cancellation =>
    {
        await PauseAsync(again, cancellation).ConfigureAwait(false);
        post(await ReadOnceAsync(question, cancellation).ConfigureAwait(false));
    });

    public void Swap(PendingSwap swap, bool again) => Run(async cancellation =>
    {
        await PauseAsync(again, cancellation).ConfigureAwait(false);
        var outcome = await store.SwapAsync(
            new Swap(_key, swap.ExpectedRevision, swap.Next.ToJson(), StoreKeys.Host(host)), cancellation).ConfigureAwait(false);
        post(outcome switch
        {
            _ when !FaultPoint.PassSwapAnswer(swap.Next.State) => new PairEvent.SwapUnknown(swap.Next.Nonce, "the answer was lost (fault point)"),
            SwapOutcome.Won won => new PairEvent.SwapWon(swap.Next.Nonce, won.ModRevision),
            SwapOutcome.Lost lost => new PairEvent.SwapLost(
                swap.Next.Nonce, lost.Current is null ? null : Role.FromJson(lost.Current.Value), lost.Current?.ModRevision ?? 0, lost.LeaseGone),
            SwapOutcome.Unknown unknown => new PairEvent.SwapUnknown(swap.Next.Nonce, unknown.Why),
            _ => throw new InvalidOperationException($"no such outcome: {outcome}"),
        });
    });

    /// <summary>Reports the role again and again until <paramref name="still"/> says that nobody waits for it.</summary>
    public void Watch(Func<bool> still)
    {
        if (Interlocked.Exchange(ref _watching, 1) == 1)
        {
            return;
        }
        Run(async cancellation =>
        {
            do
            {
                while (still())
                {
                    post(await ReadOnceAsync(PairEvent.RoleRead.Watched, cancellation).ConfigureAwait(false));
                    await Task.Delay(WatchEvery, cancellation).ConfigureAwait(false);
                }
                Volatile.Write(ref _watching, 0);
            }
            // Somebody may have begun to wait, and found it still watching, since it was asked last.
            while (still() && Interlocked.Exchange(ref _watching, 1) == 0);
        });
    }

    public void Dispose() => _ended.Cancel();

    private async Task<PairEvent> ReadOnceAsync(long question, CancellationToken cancellation)
    {
        try
        {
            var entry = await store.GetAsync(_key, cancellation).ConfigureAwait(false);
            if (!FaultPoint.Pass(FaultPoints.ReadAnswer))
            {
                return new PairEvent.ReadFailed("the answer was lost (fault point)", question);
            }
            return new PairEvent.RoleRead(entry is null ? null : Role.FromJson(entry.Value), entry?.ModRevision ?? 0, question);
        }
        catch (StoreUnavailableException e)
        {
            return new PairEvent.ReadFailed(e.Message, question);
        }
    }

    private static Task PauseAsync(bool again, CancellationToken cancellation) =>
        again ? Task.Delay(AgainAfter, cancellation) : Task.CompletedTask;

    private async void Run(Func<CancellationToken, Task> work)
    {
        try
        {
            await Task.Run(() => work(_ended.Token), _ended.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            // The keeper leaves: nobody waits for the outcome.
        }
        catch (Exception e)
        {
            Environment.FailFast($"the role key cannot be handled: {e.Message}", e);
        }
    }
}
