namespace Pollux.Replication.Pair;

/// <content>The side that stands by.</content>
public static partial class PairMachine
{
    private static Transition StepStandby(PairState s, PairEvent e) => (s.Phase, e) switch
    {
        (PairPhase.Waiting, PairEvent.PrimaryConnected connected) => Stay(
            s with { Phase = PairPhase.Receiving, Peer = connected.Primary, Reason = "receiving the first copy" }),
        (PairPhase.Receiving, PairEvent.EpochWhole { Epoch.Value: 0 } whole) => new(
            s with { Whole = whole.Epoch, Reason = "rehearsing a takeover" }, [new PairEffect.Rehearse()]),
        (PairPhase.Receiving, PairEvent.EpochWhole whole) => Stay(s with { Whole = whole.Epoch }),
        (PairPhase.Receiving, PairEvent.Rehearsed) => Acknowledge(s with { Phase = PairPhase.Ready, Reason = "rehearsed" }),
        (PairPhase.Receiving, PairEvent.RehearsalFailed failed) => Leave(
            s, $"the rehearsal failed: {failed.Why}", new PairEffect.TellDismiss($"the rehearsal failed: {failed.Why}")),
        (PairPhase.Waiting or PairPhase.Receiving, _) when SuspicionOf(e) is { } why => Leave(s, why),

        (PairPhase.Ready, PairEvent.ProtectionTold) => Stay(s with { Phase = PairPhase.Standing, Reason = "" }),
        (PairPhase.Ready or PairPhase.Standing or PairPhase.Deciding, PairEvent.EpochWhole whole) => Acknowledge(s with { Whole = whole.Epoch }),
        (PairPhase.Ready or PairPhase.Standing, _) when SuspicionOf(e) is { } why => new(
            s with { Phase = PairPhase.Deciding, PeerLost = e is not PairEvent.PeerSilent, Reason = why }, [new PairEffect.ReadRole()]),

        (PairPhase.Deciding, PairEvent.PeerSilent) => Stay(s),
        (PairPhase.Deciding, _) when SuspicionOf(e) is { } why => Stay(s with { PeerLost = true, Reason = why }),
        (PairPhase.Deciding, PairEvent.PeerHeard) when !s.PeerLost => Stay(s with { Phase = PairPhase.Standing, Reason = "" }),
        (PairPhase.Deciding, PairEvent.ReadFailed) => new(s, [new PairEffect.ReadRole(Again: true)]),
        (PairPhase.Deciding, PairEvent.RoleRead read) => SealAndTake(s with { Role = read.Role, RoleRevision = read.Revision }),

        (PairPhase.Loading, PairEvent.QemuExited exited) => Stay(s with { GuestDied = exited.Why }),
        (PairPhase.Loading, PairEvent.Loaded) when s.GuestDied is { } why => SwapBack(s, why),
        (PairPhase.Loading, PairEvent.Loaded) => Swapping(
            WithSwap(s, PairPhase.Confirming, RoleState.Running, s.Me, null, $"{s.Me.Host} took over: {s.Reason}")),
        (PairPhase.Loading, PairEvent.LoadFailed failed) => SwapBack(s, failed.Why),

        (PairPhase.Confirming, PairEvent.QemuExited exited) => Stay(s with { GuestDied = exited.Why }),

        (PairPhase.Waiting or PairPhase.Receiving or PairPhase.Ready or PairPhase.Standing or PairPhase.Deciding, PairEvent.QemuExited exited) => Leave(
            s, $"the standby's QEMU died: {exited.Why}", new PairEffect.TellDismiss($"its QEMU died: {exited.Why}")),
        (PairPhase.Waiting or PairPhase.Receiving or PairPhase.Ready or PairPhase.Standing or PairPhase.Deciding, PairEvent.Dismissed dismissed) =>
            Leave(s, dismissed.Why),
        (PairPhase.Waiting or PairPhase.Receiving or PairPhase.Ready or PairPhase.Standing, PairEvent.StopRequested) => Leave(
            s, "stopped by its agent", new PairEffect.TellDismiss("stopped by its agent")),
        // Once it has acknowledged, a swap that names it may have won: its agent's look at the store may be older. The primary dismisses it, or its end does.
        (PairPhase.Waiting or PairPhase.Receiving, PairEvent.SentAway away) => Leave(s, away.Why, new PairEffect.TellDismiss(away.Why)),
        _ => Stay(s),
    };

    /// <summary>Why the primary may be dead, if this event says so.</summary>
    private static string? SuspicionOf(PairEvent e) => e switch
    {
        PairEvent.LinkDown down => $"the link to the primary is down: {down.Why}",
        PairEvent.PeerSilent silent => $"the primary is silent for {silent.SilentMs:F0} ms",
        PairEvent.PrimaryDown dead => dead.Why,
        PairEvent.TakeNow => "planned takeover",
        _ => null,
    };

    private static Transition Acknowledge(PairState s) =>
        new(s with { Acknowledged = s.Whole }, [new PairEffect.Acknowledge(s.Whole)]);

    /// <summary>
    /// Rule 3: only a fresh read that shows this very pair still protected lets the standby seal and swap.
    /// From here to the end of <see cref="PairPhase.Taking"/> nothing is acknowledged.
    /// </summary>
    private static Transition SealAndTake(PairState s)
    {
        var role = s.Role;
        if (role is not { State: RoleState.Protected } || role.Standby != s.Me)
        {
            return Leave(s, $"{s.Reason}; the role says {role?.State.ToString().ToLowerInvariant() ?? "nothing"}{(role is null ? "" : $" on {role.Primary.Host}")}");
        }
        return Swapping(WithSwap(s, PairPhase.Taking, RoleState.Taking, role.Primary, s.Me, s.Reason));
    }

    /// <summary>Rule 5: nothing of this side was heard, so the old primary can go on.</summary>
    private static Transition SwapBack(PairState s, string why) => Swapping(
        WithSwap(s, PairPhase.SwappingBack, RoleState.Running, s.Role!.Primary, null, $"{s.Me.Host} could not take over: {why}"));

    private static Transition StandbyWon(PairState s) => s.Phase switch
    {
        PairPhase.Taking => new(s with { Phase = PairPhase.Loading, Reason = s.Role!.Reason }, [new PairEffect.Load(s.Whole)]),
        PairPhase.Confirming when s.GuestDied is { } why => Leave(s, $"the guest died right after the takeover: {why}"),
        PairPhase.Confirming => new(
            s with { Phase = PairPhase.Alone, Peer = null, Whole = Core.Epoch.None, Acknowledged = Core.Epoch.None, Reason = s.Role!.Reason },
            [new PairEffect.OpenNetwork()]),
        PairPhase.SwappingBack => Leave(s, s.Role!.Reason),
        PairPhase.Returning => LeaveMove(s, s.Role!.Reason),
        PairPhase.Landing => Landed(s),
        _ => Stay(s),
    };

    /// <summary>Another one won: this side keeps nothing, and no frame of it ever left.</summary>
    private static Transition StandbyLost(PairState s, Role? current) =>
        Leave(s, current is null ? "this VM has no role any more" : $"the role says {current.State.ToString().ToLowerInvariant()} on {current.Primary.Host}: {current.Reason}");
}
