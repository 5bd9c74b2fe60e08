using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <content>
/// Live migration: the guest moves to a host that is no standby of it (docs/live-migration.md). One copy runs, always:
///   - until the hand-over is told, the destination may do nothing, and the source may let its guest run on without asking anybody;
///   - from then on either side needs a won swap of the same revision of the role: the destination to let the guest run, the source to let it
///     run on. An unknown outcome moves neither;
///   - a destination that won, and whose guest then does not run, may swap the role back; the source keeps its copy, stopped, until it knows.
/// </content>
public static partial class PairMachine
{
    private static Transition? StepMoving(PairState s, PairEvent e) => (s.Phase, e) switch
    {
        (PairPhase.Alone, PairEvent.MigrateRequested migrate) => new(
            s with { Phase = PairPhase.Moving, Peer = migrate.Destination, PeerLost = false, HasLastWord = false, Reason = $"moving to {migrate.Destination.Host}" },
            [new PairEffect.BeginMigration(migrate.Destination)]),
        (PairPhase.Moving, PairEvent.SwitchoverReached) => new(s with { Reason = $"stopped, sending the rest to {s.Peer!.Host}" }, [new PairEffect.CompleteMigration()]),
        (PairPhase.Moving, PairEvent.StreamSent) => new(
            s with { Phase = PairPhase.HandedOff, Reason = $"handed over, waiting for {s.Peer!.Host} to run it" },
            [new PairEffect.TellHandOver(s.Role!, s.RoleRevision), new PairEffect.WatchRole()]),
        (PairPhase.Moving, PairEvent.QemuExited exited) => Leave(s, exited.Why, new PairEffect.TellDismiss(exited.Why)),
        (PairPhase.Moving, PairEvent.StopRequested) => EndMove(s, "the VM is to be stopped"),
        (PairPhase.Moving, _) when EndOfMove(e) is { } why => EndMove(s, why),

        (PairPhase.HandedOff, PairEvent.RoleRead read) => HandedOver(s, read),
        (PairPhase.HandedOff, PairEvent.QemuExited exited) => Leave(s, $"the guest that was handed over is gone: {exited.Why}"),
        (PairPhase.HandedOff, PairEvent.TakeoverOverdue) => TakeBack(s, $"{s.Peer!.Host} did not let it run in time"),
        (PairPhase.HandedOff, _) when EndOfMove(e) is { } why => TakeBack(Heard(s, e), why),
        (PairPhase.HandedOff, _) => Stay(s),

        (PairPhase.GoingSolo, PairEvent.Dismissed or PairEvent.LinkDown) when s.IsHandedOver => Stay(Heard(s, e)),

        (PairPhase.Yielding, PairEvent.RoleRead read) => Yielded(s, read),
        (PairPhase.Yielding, PairEvent.Dismissed) => new(Heard(s, e), [new PairEffect.ReadRole()]),
        (PairPhase.Yielding, PairEvent.LinkDown) => Stay(Heard(s, e)),
        (PairPhase.Yielding, PairEvent.TakeoverOverdue) when s.PeerLost || s.HasLastWord => new(s, [new PairEffect.ReadRole()]),
        (PairPhase.Yielding, PairEvent.QemuExited) => Leave(s, s.Role!.Reason),
        (PairPhase.Yielding, _) => Stay(s),
        _ => null,
    };

    private static Transition? StepDestination(PairState s, PairEvent e) => (s.Phase, e) switch
    {
        (PairPhase.Expecting, PairEvent.PrimaryConnected connected) => Stay(
            s with { Phase = PairPhase.Arriving, Peer = connected.Primary, Reason = $"receiving it from {connected.Primary.Host}" }),
        (PairPhase.Arriving, PairEvent.Arrived) => Land(s with { HasArrived = true }),
        (PairPhase.Arriving, PairEvent.HandedOver handed) when handed.Role.Primary != s.Peer => LeaveMove(s, $"{s.Peer!.Host} handed over what the role says is {handed.Role.Primary}'s"),
        (PairPhase.Arriving, PairEvent.HandedOver handed) => Land(s with { Role = handed.Role, RoleRevision = handed.Revision, IsHandedOver = true }),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.ArrivalFailed failed) => LeaveMove(s, failed.Why),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.SentAway away) => LeaveMove(s, away.Why),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.QemuExited exited) => LeaveMove(s, $"its QEMU died: {exited.Why}"),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.StopRequested) => LeaveMove(s, "stopped by its agent"),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.Dismissed dismissed) => Leave(s, dismissed.Why),
        // What was handed over needs the source no more.
        (PairPhase.Arriving, PairEvent.LinkDown) when s.IsHandedOver => Stay(s),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.LinkDown down) => Leave(s, $"the link to the source is down: {down.Why}"),
        (PairPhase.Landing, PairEvent.QemuExited exited) => Stay(s with { GuestDied = exited.Why }),
        (PairPhase.Resuming, PairEvent.GuestRuns) => RunHere(s),
        (PairPhase.Resuming, PairEvent.GuestCouldNotRun could) => GiveBack(s, could.Why),
        (PairPhase.Resuming, PairEvent.QemuExited exited) => GiveBack(s, exited.Why),
        (>= PairPhase.Expecting and <= PairPhase.Returning, _) => Stay(s),
        _ => null,
    };

    private static string? EndOfMove(PairEvent e) => e switch
    {
        PairEvent.LinkDown down => $"the link to the destination is down: {down.Why}",
        PairEvent.Dismissed dismissed => $"the destination left: {dismissed.Why}",
        PairEvent.MigrationFailed failed => failed.Why,
        PairEvent.MigrationCancelled => "cancelled by the user",
        _ => null,
    };

    /// <summary>Nothing was handed over: the guest is ours without a question.</summary>
    private static Transition EndMove(PairState s, string why) => new(
        s with { Phase = PairPhase.Alone, Peer = null, Reason = why }, [new PairEffect.EndMigration(why)]);

    /// <summary>The destination may be about to let it run: only a won swap of our own rules that out.</summary>
    private static Transition TakeBack(PairState s, string why) => Swapping(
        WithSwap(s with { IsHandedOver = true }, PairPhase.GoingSolo, RoleState.Running, s.Me, null, why));

    private static Transition HandedOver(PairState s, PairEvent.RoleRead read) => read.Role switch
    {
        null => Leave(s, "this VM has no role any more"),
        { State: RoleState.Running } role when role.Primary == s.Peer => Yield(s, role, read.Revision),
        var role when role.Primary != s.Me => Leave(s, $"{role.Primary.Host} runs this VM now: {role.Reason}"),
        _ => Stay(s),
    };

    /// <summary>What the source has heard of the destination since the hand-over.</summary>
    private static PairState Heard(PairState s, PairEvent e) => s with { PeerLost = s.PeerLost || e is PairEvent.LinkDown, HasLastWord = s.HasLastWord || e is PairEvent.Dismissed };

    private static Transition Yield(PairState s, Role role, long revision) => Stay(
        s with { Phase = PairPhase.Yielding, Role = role, RoleRevision = revision, IsHandedOver = true, Reason = $"{role.Primary.Host} has won it and is about to run it" });

    /// <summary>It is ours again once the role says so. It is given up when the destination is not going to change the role any more, and this was read after that was known.</summary>
    private static Transition Yielded(PairState s, PairEvent.RoleRead read) => read.Role switch
    {
        null => Leave(s, "this VM has no role any more"),
        { State: RoleState.Running } role when role.Primary == s.Me => RunAlone(s with { Role = role, RoleRevision = read.Revision }, role.Reason),
        { State: RoleState.Running } role when role.Primary == s.Peer && (read.Question == PairEvent.RoleRead.Watched || !(s.PeerLost || s.HasLastWord)) => Stay(s),
        var role => Leave(s, $"{role.Primary.Host} runs this VM now: {role.Reason}"),
    };

    private static Transition Land(PairState s) => s is { HasArrived: true, IsHandedOver: true }
        ? Swapping(WithSwap(s, PairPhase.Landing, RoleState.Running, s.Me, null, $"moved from {s.Peer!.Host} to {s.Me.Host}"))
        : Stay(s);

    private static Transition Landed(PairState s) => s.GuestDied is { } why
        ? GiveBack(s, why)
        : new(s with { Phase = PairPhase.Resuming, Reason = s.Role!.Reason }, [new PairEffect.RunGuest()]);

    private static Transition RunHere(PairState s) => new(
        s with { Phase = PairPhase.Alone, Peer = null, HasArrived = false, IsHandedOver = false },
        [new PairEffect.OpenNetwork(), new PairEffect.TellDismiss(s.Role!.Reason)]);

    /// <summary>Nothing of this side was heard or written, so that the source's copy can go on.</summary>
    private static Transition GiveBack(PairState s, string why) => Swapping(
        WithSwap(s, PairPhase.Returning, RoleState.Running, s.Peer!, null, $"{s.Me.Host} could not let it run: {why}"), new PairEffect.StopGuest());

    private static Transition LeaveMove(PairState s, string why) => Leave(s, why, new PairEffect.TellDismiss(why));
}
