using System.Diagnostics;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Keeper.Events;

/// <summary>A keeper's part of its host's event log: what moved, and what should have and does not.</summary>
internal sealed class KeeperEvents : IDisposable
{
    private const double LateMsLeast = 500;
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan FailureAgainAfter = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan LateAgainAfter = TimeSpan.FromMinutes(1);

    private readonly VmName _vm;
    private readonly EventJournal _log;
    private readonly CancellationTokenSource _ended = new();
    private readonly PatienceWatch _patience = new();
    private long _movedAt = Stopwatch.GetTimestamp();
    private long _lateToldAt;
    private string? _failure;
    private long _failedAt;

    public KeeperEvents(KeeperConfig config)
    {
        _vm = config.Vm;
        _log = new EventJournal(config.EventsFile, config.Host, KeeperLog.Say);
    }

    public void Tell(EventDraft draft) => _log.Tell(_vm, draft);

    public void Tell(string kind, EventWeight weight, string text) => _log.Tell(_vm, kind, weight, text);

    /// <summary>
    /// On the pair's thread, before it does what the move decides: a takeover waits for this. So only the moment is noted here; words are found for it on the
    /// journal's own thread.
    /// </summary>
    /// <param name="won">The takeover that this move has ended, if it has.</param>
    public void Moved(PairState before, PairState after, PairEvent because, TakeoverStatus? won)
    {
        if (before.Phase == after.Phase)
        {
            return;
        }
        var heldMs = Stopwatch.GetElapsedTime(_movedAt).TotalMilliseconds;
        _movedAt = Stopwatch.GetTimestamp();
        _log.Tell(_vm, () => won is not null ? PairNews.OfTakeover(before.Peer?.Host.Value ?? "its old host", won) : NewsOf(before, after, because, heldMs));
    }

    private EventDraft? NewsOf(PairState before, PairState after, PairEvent because, double heldMs) => PairNews.Of(before, after, because) switch
    {
        null => null,
        var draft when IsRepeated(draft) => null,
        var draft when before.Phase == PairPhase.GoingSolo && after.Phase == PairPhase.Alone =>
            draft with { Figures = new Dictionary<string, double> { ["arbitrateMs"] = Math.Round(heldMs, 3) } },
        var draft => draft,
    };

    /// <summary>A standby that cannot be filled is tried for ever; that is told again when it fails otherwise, or after a while.</summary>
    private bool IsRepeated(EventDraft draft)
    {
        if (draft.Kind == EventKinds.Syncing)
        {
            return _failure is not null && Stopwatch.GetElapsedTime(_failedAt) < FailureAgainAfter;
        }
        if (draft.Kind != EventKinds.SyncFailed)
        {
            _failure = null;
            return false;
        }
        var failure = EventFile.WithoutNumbers(draft.Text);
        if (failure == _failure && Stopwatch.GetElapsedTime(_failedAt) < FailureAgainAfter)
        {
            return true;
        }
        (_failure, _failedAt) = (failure, Stopwatch.GetTimestamp());
        return false;
    }

    /// <summary>A host that stood still is a likely cause of what follows; told at most once a minute.</summary>
    public void WasLate(double gapMs)
    {
        if (gapMs < LateMsLeast || (_lateToldAt != 0 && Stopwatch.GetElapsedTime(_lateToldAt) < LateAgainAfter))
        {
            return;
        }
        _lateToldAt = Stopwatch.GetTimestamp();
        Tell(EventKinds.Late, EventWeight.Warning, $"this keeper did not run for {gapMs:F0} ms: its host stood still, or is overloaded");
    }

    /// <summary>Looks twice a second until disposed of.</summary>
    public async Task WatchAsync(Func<PatienceSample> look)
    {
        while (!_ended.IsCancellationRequested)
        {
            foreach (var draft in _patience.Look(look()))
            {
                _log.Tell(_vm, draft);
            }
            await Task.Delay(LookEvery, _ended.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public void Dispose()
    {
        _ended.Cancel();
        _log.Dispose();
    }
}
