using System.Diagnostics;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Keeper.Events;
using Pollux.Keeper.Guests;
using Pollux.Qemu.Qmp;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <content>What this keeper tells people of, beside its log: the host's events.</content>
internal sealed partial class KeeperProcess
{
    private readonly KeeperEvents _events;
    private readonly GuestConsole _console;
    private readonly LinkRate _linkRate = new(CheckpointStatus.WindowSeconds * 1000);

    /// <summary>A guest that restarts over and over must not push out what else its host has to tell.</summary>
    private static readonly TimeSpan ResetsToldEach = TimeSpan.FromMinutes(1);

    private volatile string? _cutOff;
    private long _resetToldAt;

    private PatienceSample LookForPatience()
    {
        var state = _loop.State;
        var now = Stopwatch.GetTimestamp() * 1000.0 / Stopwatch.Frequency;
        _console.Trim();
        var session = _session;
        var shipping = session?.Shipping;
        _linkRate.Note(session, now, shipping?.CapturedBytes ?? 0, shipping?.ShippedBytes ?? 0, session?.Pieces?.Counts.SentBytes ?? 0);
        var lag = state.Phase == PairPhase.Protected ? session?.Stats.Lag() : null;
        return new PatienceSample(
            now, WhoWaits(state.Phase), state.Pending?.Next.Reason ?? state.Reason, _store.IsAnswering, lag?.LagMs, lag?.UncommittedBytes ?? 0,
            _guest?.Egress.Held ?? 0, _tuning.TriggerSettings.IntervalMs);
    }

    private static string? WhoWaits(PairPhase phase) => phase switch
    {
        PairPhase.Claiming => "its start",
        PairPhase.Stopping => "its end",
        _ when !WaitsForRole(phase) => null,
        PairPhase.HandedOff or PairPhase.Landing or PairPhase.Returning => "the guest, which is moving,",
        >= PairPhase.Waiting => "a takeover",
        _ => "the guest, with its frames,",
    };

    /// <summary>QEMU's end closes its sockets too, a moment before it is known, and is told as such.</summary>
    private async Task TellNetworkFailureAsync(string why)
    {
        KeeperLog.Say(why);
        await Task.WhenAny(_left.Task, Task.Delay(LastWordsWithin)).ConfigureAwait(false);
        if (_guest is { HasExited: false } && _loop.State.Phase != PairPhase.Gone)
        {
            TellCutOff(why);
        }
    }

    /// <summary>Once for as long as it lasts.</summary>
    private void TellCutOff(string why)
    {
        var cutOff = $"the guest is cut off from its network: {why}";
        if (cutOff != _cutOff)
        {
            _cutOff = cutOff;
            _events.Tell(EventKinds.NetworkFailed, EventWeight.Alarm, cutOff);
        }
    }

    private void NoteScrubAlarm(string what)
    {
        _scrubAlarms.Note(what);
        _events.Tell(EventKinds.ScrubAlarm, EventWeight.Alarm, $"the standby's memory is wrong, so it is thrown away: {what}");
    }

    /// <summary>What the guest itself did.</summary>
    private void HearGuest(QmpEvent e)
    {
        switch (e.Name)
        {
            case "RESET" when e.Data.TryGetProperty("guest", out var byGuest) && byGuest.GetBoolean() && Stopwatch.GetElapsedTime(_resetToldAt) > ResetsToldEach:
                _resetToldAt = Stopwatch.GetTimestamp();
                _events.Tell(EventKinds.GuestReset, EventWeight.Info, "the guest restarts itself; it stays where it is, as protected as before");
                break;
        }
    }
}
