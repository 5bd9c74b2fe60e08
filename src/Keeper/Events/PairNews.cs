using System.Globalization;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Replication.Pair;

namespace Pollux.Keeper.Events;

/// <summary>
/// What a move of the pair's machine means to people: a pure function of the two states and the event between them. Most moves mean nothing to
/// them; what takes long in between is told by <see cref="PatienceWatch"/>.
/// </summary>
internal static class PairNews
{
    private const string ByUser = "unprotected by the user";

    /// <summary>Reasons, as the pair's machine words them, for which a standby shall leave: no loss.</summary>
    private static readonly string[] Wished = [ByUser, "stopped by the user", "the guest shut down", "stopped by its agent"];

    public static EventDraft? Of(PairState before, PairState after, PairEvent because) => before.IsStandby || before.Phase == PairPhase.Gone
        ? OfStandby(before, after, because)
        : OfPrimary(before, after, because);

    /// <summary>A takeover that was won, with its times.</summary>
    public static EventDraft OfTakeover(string from, TakeoverStatus times) => new(
        EventKinds.Takeover, times.Reason == Planned ? EventWeight.Info : EventWeight.Warning,
        string.Create(CultureInfo.InvariantCulture,
            $"took over from {from}: {times.Reason} (detected {times.DetectMs:0.#} ms, arbitrated {times.ArbitrateMs:0.#} ms, resumed {times.ResumeMs:0.#} ms)"),
        new Dictionary<string, double> { ["detectMs"] = times.DetectMs, ["arbitrateMs"] = times.ArbitrateMs, ["resumeMs"] = times.ResumeMs, ["epoch"] = times.Epoch });

    /// <summary>A live migration that has arrived: the guest runs here.</summary>
    public static EventDraft OfMove(MigrationStatus move) => new(
        EventKinds.Moved, EventWeight.Info,
        string.Create(CultureInfo.InvariantCulture,
            $"moved from {move.From} to {move.To}: {move.ElapsedMs / 1000:0.0} s, {move.SentBytes / 1e6:0.#} MB sent; it stood still for {move.PauseMs:0.#} ms"),
        new Dictionary<string, double> { ["totalMs"] = move.ElapsedMs, ["sentBytes"] = move.SentBytes, ["pauseMs"] = move.PauseMs ?? 0 });

    /// <summary>The reason of a takeover that nobody's death caused, as the pair's machine words it.</summary>
    public const string Planned = "planned takeover";

    private static EventDraft? OfPrimary(PairState before, PairState after, PairEvent because) => (before.Phase, after.Phase) switch
    {
        var (from, to) when from == to => null,
        (PairPhase.Claiming, PairPhase.Alone) => Info(EventKinds.Started, after.Reason),
        (PairPhase.Claiming, PairPhase.Gone) => Warning(EventKinds.StartFailed, after.Reason),
        (PairPhase.Alone, PairPhase.Moving) => Info(EventKinds.Moving, after.Reason),
        (PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding, PairPhase.Alone) or (PairPhase.GoingSolo, PairPhase.Alone) when before.Phase != PairPhase.GoingSolo || before.IsHandedOver =>
            Warning(EventKinds.MoveFailed, $"stays on {after.Me.Host}: {after.Reason}"),
        (PairPhase.Alone, PairPhase.Syncing) => Info(EventKinds.Syncing, $"{after.Reason}; not protected until it is full and a takeover is rehearsed"),
        (PairPhase.Syncing, PairPhase.Alone) => after.Reason == ByUser
            ? Info(EventKinds.Unprotected, after.Reason)
            : Warning(EventKinds.SyncFailed, $"the standby on {before.Peer?.Host} could not be filled: {after.Reason}"),
        (PairPhase.Protecting, PairPhase.Protected or PairPhase.Verifying) => Info(EventKinds.Protected, $"protected: {after.Role?.Standby?.Host} stands by and has rehearsed a takeover"),
        (_, PairPhase.Alone) => after.Reason == ByUser
            ? Info(EventKinds.Unprotected, after.Reason)
            : Warning(EventKinds.Solo, $"runs on alone on {after.Me.Host}, not protected: {after.Reason}"),
        (_, PairPhase.Gone) => LeaveOfPrimary(before, after, because),
        _ => null,
    };

    private static EventDraft LeaveOfPrimary(PairState before, PairState after, PairEvent because) => (before.Phase, because) switch
    {
        (PairPhase.Yielding, _) => Info(EventKinds.HandedOver, after.Reason),
        (_, PairEvent.QemuExited) => new(EventKinds.GuestDied, EventWeight.Alarm, IsProtected(before)
            ? $"its QEMU is dead on {after.Me.Host}, so {before.Role?.Standby?.Host} shall take over: {after.Reason}"
            : $"its QEMU is dead: {after.Reason}"),
        (PairPhase.Stopping, _) => Info(EventKinds.Stopped, after.Reason),
        (PairPhase.HandedOff, _) => Info(EventKinds.HandedOver, after.Reason),
        (PairPhase.GoingSolo or PairPhase.Frozen, _) when before.IsHandedOver => Info(EventKinds.HandedOver, after.Reason),
        (PairPhase.Frozen, _) when before.Final is not null => Info(EventKinds.HandedOver, after.Reason),
        _ => Warning(EventKinds.Superseded, $"this side's copy of the guest was thrown away: {after.Reason}"),
    };

    private static EventDraft? OfStandby(PairState before, PairState after, PairEvent because) => (before.Phase, after.Phase) switch
    {
        var (from, to) when from == to => null,
        (PairPhase.Resuming, PairPhase.Alone) => null, // told when it runs, with what it took
        (>= PairPhase.Expecting and <= PairPhase.Returning, PairPhase.Gone) => Info(EventKinds.MoveFailed, $"does not come to {after.Me.Host}: {after.Reason}"),
        (PairPhase.SwappingBack, PairPhase.Gone) => new(EventKinds.TakeoverFailed, EventWeight.Alarm, $"the takeover failed, and was given back: {after.Reason}"),
        (PairPhase.Taking or PairPhase.Loading or PairPhase.Confirming, PairPhase.Gone) =>
            new(EventKinds.TakeoverFailed, EventWeight.Alarm, $"the takeover failed: {after.Reason}"),
        (_, PairPhase.Gone) when because is PairEvent.RehearsalFailed => new(EventKinds.RehearsalFailed, EventWeight.Alarm, after.Reason),
        (PairPhase.Waiting, PairPhase.Gone) when because is PairEvent.Dismissed => Warning(EventKinds.StandbyFailed, $"{after.Me.Host} cannot stand by: {after.Reason}"),
        (_, PairPhase.Gone) => Wished.Contains(after.Reason)
            ? Info(EventKinds.StandbyLeft, $"{after.Me.Host} stands by no more: {after.Reason}")
            : Warning(EventKinds.StandbyLeft, $"{after.Me.Host} stands by no more: {after.Reason}"),
        _ => null,
    };

    private static bool IsProtected(PairState state) => state.Role is { State: RoleState.Protected, Standby: not null };

    private static EventDraft Info(string kind, string text) => new(kind, EventWeight.Info, text);
    private static EventDraft Warning(string kind, string text) => new(kind, EventWeight.Warning, text);
}
