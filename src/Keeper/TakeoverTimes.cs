using System.Diagnostics;
using Pollux.Cluster.Keepers;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <summary>
/// Times a takeover by the phases that the pair's machine passes: suspicion · read, seal and swap (arbitrate) · load (resume) ·
/// swap to <c>running</c> (arbitrate) · open. Used on the loop's thread only.
/// </summary>
internal sealed class TakeoverTimes
{
    private double _detectMs;
    private double _decidedUnixMs;
    private long _suspected;
    private long _won;
    private long _loaded;
    private string _reason = "";

    public TakeoverStatus? Last { get; private set; }

    public void Moved(PairState before, PairState after, PairEvent because)
    {
        if (before.Phase == after.Phase)
        {
            return;
        }
        var now = Stopwatch.GetTimestamp();
        switch (after.Phase)
        {
            case PairPhase.Deciding:
                _suspected = now;
                _decidedUnixMs = UnixMs();
                _reason = after.Reason;
                _detectMs = because is PairEvent.PeerSilent silent ? silent.SilentMs : 0;
                break;
            case PairPhase.Loading:
                _won = now;
                break;
            case PairPhase.Confirming:
                _loaded = now;
                break;
            case PairPhase.Alone when before.Phase == PairPhase.Confirming:
                Last = new TakeoverStatus(
                    _reason, Math.Round(_detectMs, 3), Ms(_suspected, _won) + Ms(_loaded, now), Ms(_won, _loaded), _decidedUnixMs, UnixMs(), before.Whole.Value);
                break;
        }
    }

    private static double Ms(long from, long to) => Math.Round(Stopwatch.GetElapsedTime(from, to).TotalMilliseconds, 3);

    private static double UnixMs() => (DateTime.UtcNow - DateTime.UnixEpoch).TotalMilliseconds;
}
