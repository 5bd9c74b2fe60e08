using Pollux.Cluster.Store;
using Pollux.Replication.Pair;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;

namespace Pollux.Simulation.Keepers;

/// <summary>Mirrors the keeper's hand on the role key (RoleKeeper): the same pauses, the same outcomes as events.</summary>
internal sealed class SimulatedRoles(World world, SimulatedProcess process, Action<PairEvent> post)
{
    private const double AgainAfterMs = 50;
    private const double WatchEveryMs = 20;
    private readonly HashSet<string> _unknown = [];
    private bool _isEnded;
    private bool _isWatching;

    public void Read(bool again, long question) => process.After(again ? AgainAfterMs : process.Host.Jitter(), () => ReadOnce(question, Post));

    public void Swap(PendingSwap swap, bool again) => process.After(again ? AgainAfterMs : process.Host.Jitter(), () =>
    {
        if (!_isEnded)
        {
            world.Calls.Swap(process, swap.Next, swap.ExpectedRevision, outcome => Post(Of(swap, outcome)));
        }
    });

    public void Watch(Func<bool> still)
    {
        if (!_isWatching)
        {
            _isWatching = true;
            WatchOnce(still);
        }
    }

    public void Dispose() => _isEnded = true;

    private void WatchOnce(Func<bool> still)
    {
        if (_isEnded || !still())
        {
            _isWatching = false;
            return;
        }
        ReadOnce(PairEvent.RoleRead.Watched, e =>
        {
            Post(e);
            process.After(WatchEveryMs, () => WatchOnce(still));
        });
    }

    private void ReadOnce(long question, Action<PairEvent> then)
    {
        if (!_isEnded)
        {
            world.Calls.Ask(
                process, world.Store.ReadRole, read => then(new PairEvent.RoleRead(read.Item1, read.Item2, question)), why => then(new PairEvent.ReadFailed(why, question)));
        }
    }

    private void Post(PairEvent e)
    {
        if (!_isEnded)
        {
            post(e);
        }
    }

    private PairEvent Of(PendingSwap swap, SwapOutcome outcome)
    {
        var nonce = swap.Next.Nonce;
        switch (outcome)
        {
            case SwapOutcome.Won won:
                world.Coverage.Add(_unknown.Contains(nonce) ? Seen.UnknownSwapThatHadWon : Seen.SwapWon);
                return new PairEvent.SwapWon(nonce, won.ModRevision);
            case SwapOutcome.Lost lost:
                world.Coverage.Add(lost.LeaseGone ? Seen.SwapWithoutLease : Seen.SwapLost);
                return new PairEvent.SwapLost(nonce, lost.Current is null ? null : Role.FromJson(lost.Current.Value), lost.Current?.ModRevision ?? 0, lost.LeaseGone);
            case SwapOutcome.Unknown unknown:
                _unknown.Add(nonce);
                world.Coverage.Add(Seen.UnknownSwap);
                return new PairEvent.SwapUnknown(nonce, unknown.Why);
            default:
                throw new InvalidOperationException($"no such outcome: {outcome}");
        }
    }
}
