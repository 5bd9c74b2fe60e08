using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <content>
/// Live migration: the guest moves to a host that is no standby of it (docs/live-migration.md). One copy runs, always:
///   - until the hand-over is told, the destination may do nothing, and the source may let its guest run on without asking anybody;
///   - from then on either side needs a won swap of the same revision of the role: the destination to let the guest run, the source to let it
///     run on. An unknown outcome moves neither.
/// </content>
public static partial class PairMachine
{
    private static Transition? StepMoving(PairState s, PairEvent e) => (s.Phase, e) switch
    {
        (PairPhase.Alone, PairEvent.MigrateRequested migrate) => new(
            s with { Phase = PairPhase.Moving, Peer = migrate.Destination, Reason = $"moving to {migrate.Destination.Host}" },
            [new PairEffect.BeginMigration(migrate.Destination)]),
        (PairPhase.Moving, PairEvent.SwitchoverReached) => new(s with { Reason = $"stopped, sending the rest to {s.Peer!.Host}" }, [new PairEffect.CompleteMigration()]),
        (PairPhase.Moving, PairEvent.StreamSent) => new(
            s with { Phase = PairPhase.HandedOff, Reason = $"handed over, waiting for {s.Peer!.Host} to run it" },
            [new PairEffect.TellHandOver(s.Role!, s.RoleRevision), new PairEffect.WatchRole()]),
        (PairPhase.Moving, PairEvent.QemuExited exited) => Leave(s, exited.Why, new PairEffect.TellDismiss(exited.Why)),
        (PairPhase.Moving, PairEvent.StopRequested) => EndMove(s, "the VM is to be stopped"),
        (PairPhase.Moving, _) when EndOfMove(e) is { } why => EndMove(s, why),

        (PairPhase.HandedOff, PairEvent.RoleRead read) => HandedOver(s, read.Role),
        (PairPhase.HandedOff, PairEvent.QemuExited exited) => Leave(s, $"the guest that was handed over is gone: {exited.Why}"),
        (PairPhase.HandedOff, PairEvent.TakeoverOverdue) => TakeBack(s, $"{s.Peer!.Host} did not let it run in time"),
        (PairPhase.HandedOff, _) when EndOfMove(e) is { } why => TakeBack(s, why),
        (PairPhase.HandedOff, _) => Stay(s),
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
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.QemuExited exited) => LeaveMove(s, $"its QEMU died: {exited.Why}"),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.StopRequested) => LeaveMove(s, "stopped by its agent"),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.Dismissed dismissed) => Leave(s, dismissed.Why),
        // What was handed over needs the source no more.
        (PairPhase.Arriving, PairEvent.LinkDown) when s.IsHandedOver => Stay(s),
        (PairPhase.Expecting or PairPhase.Arriving, PairEvent.LinkDown down) => Leave(s, $"the link to the source is down: {down.Why}"),
        (PairPhase.Landing, PairEvent.QemuExited exited) => Stay(s with { GuestDied = exited.Why }),
        (PairPhase.Expecting or PairPhase.Arriving or PairPhase.Landing, _) => Stay(s),
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

    private static Transition HandedOver(PairState s, Role? role) => role switch
    {
        null => Leave(s, "this VM has no role any more"),
        _ when role.Primary != s.Me => Leave(s, $"{role.Primary.Host} runs this VM now: {role.Reason}"),
        _ => Stay(s),
    };

    private static Transition Land(PairState s) => s is { HasArrived: true, IsHandedOver: true }
        ? Swapping(WithSwap(s, PairPhase.Landing, RoleState.Running, s.Me, null, $"moved from {s.Peer!.Host} to {s.Me.Host}"))
        : Stay(s);

    private static Transition Landed(PairState s) => s.GuestDied is { } why
        ? Leave(s, $"the guest died right after it had moved: {why}")
        : new(
            s with { Phase = PairPhase.Alone, Peer = null, HasArrived = false, IsHandedOver = false, Reason = s.Role!.Reason },
            [new PairEffect.RunGuest(), new PairEffect.OpenNetwork(), new PairEffect.TellDismiss(s.Role.Reason)]);

    private static Transition LeaveMove(PairState s, string why) => Leave(s, why, new PairEffect.TellDismiss(why));
}
