using Pollux.Core;

namespace Pollux.Replication.Pair;

/// <content>The side that runs the guest.</content>
public static partial class PairMachine
{
    private static Transition StepPrimary(PairState s, PairEvent e) => (s.Phase, e) switch
    {
        (PairPhase.Gone, _) => Stay(s),
        (PairPhase.Claiming, PairEvent.Started) => new(s, [new PairEffect.ReadRole()]),
        (PairPhase.Claiming, PairEvent.RoleRead read) when s.Pending is null => Claim(s, read),
        (PairPhase.Claiming, PairEvent.TakeoverOverdue) when s is { Adopting: true, Pending: null, Role.State: RoleState.Taking } => Swapping(
            WithSwap(s, PairPhase.Claiming, RoleState.Running, s.Me, null, $"{s.Role.Standby?.Host} did not take over in time")),
        (_, PairEvent.ReadFailed) => RereadIfWaiting(s),

        (PairPhase.Alone, PairEvent.ProtectRequested protect) => new(
            s with { Phase = PairPhase.Syncing, Peer = protect.Standby, PeerLost = false, Acknowledged = Epoch.None, Final = null, Reason = $"filling the standby on {protect.Standby.Host}" },
            [new PairEffect.BeginCheckpointing(protect.Standby)]),

        (PairPhase.Syncing, PairEvent.FirstCut) => new(s, [new PairEffect.HoldEgress(), new PairEffect.ResumeFromCut()]),
        (PairPhase.Syncing, PairEvent.Acknowledged ack) => BeginProtection(s with { Acknowledged = ack.Epoch }),
        (PairPhase.Syncing, _) when LossOf(e) is { } why => EndSync(s, why),
        (PairPhase.Protecting, _) when LossOf(e) is { } why => Stay(s with { PeerLost = true, Reason = why }),

        (PairPhase.Protected, PairEvent.TakeoverRequested) => new(
            s with { Phase = PairPhase.HandingOver, Reason = "planned takeover" }, [new PairEffect.CutFinal()]),
        (PairPhase.Protected, PairEvent.WasLate late) => new(
            s with { Phase = PairPhase.Verifying, VerifyAfter = late.Open, Reason = $"was late by {late.GapMs:F0} ms" }, [new PairEffect.ReadRole()]),
        // Rule 8 holds wherever an acknowledgement may release something.
        (PairPhase.Verifying, PairEvent.WasLate late) => new(s with { VerifyAfter = late.Open }, [new PairEffect.ReadRole()]),
        (PairPhase.Protecting or PairPhase.GoingSolo, PairEvent.WasLate late) => Stay(s with { IsLate = true, VerifyAfter = late.Open }),
        (PairPhase.HandingOver, PairEvent.WasLate) => new(s with { IsLate = true }, [new PairEffect.ReadRole()]),
        (PairPhase.Protected or PairPhase.HandingOver, _) when LossOf(e) is { } why => GoSolo(s, why),

        (PairPhase.Verifying, PairEvent.RoleRead read) => Verified(s, read),
        (PairPhase.Verifying, _) when LossOf(e) is { } why => Stay(s with { PeerLost = true, Reason = why }),

        (PairPhase.HandingOver, PairEvent.RoleRead read) when s.IsLate => HandOverVerified(s, read),
        (PairPhase.HandingOver, PairEvent.FinalCut cut) => HandOverWhenCommitted(s with { Final = cut.Epoch }),
        (PairPhase.Frozen, PairEvent.RoleRead read) => Thaw(s, read),
        // Also from a taker that died in `taking`: it let no frame out before its swap to `running`, which cannot win any more after ours.
        (PairPhase.Frozen, PairEvent.TakeoverOverdue) when StillOurs(s.Role, s) || IsTakenFrom(s.Role, s) => GoSolo(s, "the standby did not take over in time"),
        (PairPhase.Frozen, _) when LossOf(e) is { } why && StillOurs(s.Role, s) => GoSolo(s, why),

        (_, PairEvent.Acknowledged ack) => Acknowledged(s, ack.Epoch),
        (_, PairEvent.QemuExited exited) => GuestDied(s, exited.Why),
        (PairPhase.Alone or PairPhase.Syncing or PairPhase.Protected, PairEvent.StopRequested stop) => Swapping(
            WithSwap(s, PairPhase.Stopping, RoleState.Stopped, s.Me, null, stop.ByGuest ? "the guest shut down" : "stopped by the user", stop.ByGuest), new PairEffect.CloseGate()),
        _ => Stay(s),
    };

    /// <summary>Why the standby counts as lost, if this event says so.</summary>
    private static string? LossOf(PairEvent e) => e switch
    {
        PairEvent.LinkDown down => $"the link to the standby is down: {down.Why}",
        PairEvent.PeerSilent silent => $"the standby is silent for {silent.SilentMs:F0} ms",
        PairEvent.Dismissed dismissed => $"the standby left: {dismissed.Why}",
        PairEvent.CheckpointingEnded ended => $"checkpointing ended: {ended.Why}",
        PairEvent.UnprotectRequested => "unprotected by the user",
        _ => null,
    };

    /// <summary>Rule 7: the key's primary is the truth, so only its host may start the guest anew.</summary>
    private static Transition Claim(PairState s, PairEvent.RoleRead read)
    {
        s = s with { Role = read.Role, RoleRevision = read.Revision };
        if (read.Role is { } role)
        {
            if (role.Primary.Host != s.Me.Host)
            {
                return Leave(s, $"the role names {role.Primary.Host} as this VM's primary");
            }
            if (role.State == RoleState.Taking)
            {
                // A living guest is kept until the role says who runs (rule 5).
                return s.Adopting
                    ? new(s with { Reason = $"{role.Standby?.Host} is taking this VM over" }, [new PairEffect.ReadRole(Again: true)])
                    : Leave(s, $"{role.Standby?.Host} is taking this VM over");
            }
            if (role.State == RoleState.Protected && !s.Adopting)
            {
                return Leave(s, $"{role.Standby?.Host} holds this VM's last commit");
            }
        }
        var reason = s.Adopting ? $"{s.Me.Host} adopted it after its keeper's death" : $"started on {s.Me.Host}";
        return Swapping(WithSwap(s, PairPhase.Claiming, RoleState.Running, s.Me, null, reason));
    }

    private static Transition RereadIfWaiting(PairState s) =>
        s.Phase is PairPhase.Claiming or PairPhase.Verifying || s is { Phase: PairPhase.HandingOver, IsLate: true } ? new(s, [new PairEffect.ReadRole(Again: true)]) : Stay(s);

    /// <summary>Rule 4: the standby holds checkpoint 0 with all before it, so the role may say so.</summary>
    private static Transition BeginProtection(PairState s) =>
        Swapping(WithSwap(s, PairPhase.Protecting, RoleState.Protected, s.Me, s.Peer, $"{s.Peer!.Host} holds checkpoint {s.Acknowledged}"));

    /// <summary>The role still says <c>running</c> with this primary, so nobody else can go on: no swap is needed.</summary>
    private static Transition EndSync(PairState s, string why) => new(
        s with { Phase = PairPhase.Alone, Peer = null, IsLate = false, Reason = why },
        [new PairEffect.EndCheckpointing(why), new PairEffect.ReleaseAll(), new PairEffect.OpenGate()]);

    private static Transition GoSolo(PairState s, string why) => Swapping(
        WithSwap(s, PairPhase.GoingSolo, RoleState.Running, s.Me, null, why), new PairEffect.CloseGate());

    private static Transition Acknowledged(PairState s, Epoch epoch)
    {
        if (epoch <= s.Acknowledged)
        {
            return Stay(s);
        }
        s = s with { Acknowledged = epoch };
        return s.Phase switch
        {
            PairPhase.Protected or PairPhase.GoingSolo when !s.IsLate => new(s, [new PairEffect.Release(epoch)]),
            PairPhase.Verifying when epoch > s.VerifyAfter => BackToProtected(s),
            PairPhase.HandingOver => HandOverWhenCommitted(s),
            _ => Stay(s),
        };
    }

    private static Transition Verified(PairState s, PairEvent.RoleRead read)
    {
        s = s with { Role = read.Role, RoleRevision = read.Revision };
        return StillOurs(read.Role, s) ? BackToProtected(s) : Superseded(s, read.Role);
    }

    private static Transition BackToProtected(PairState s)
    {
        var back = s with { Phase = PairPhase.Protected, Reason = "" };
        if (!s.PeerLost)
        {
            return new(back, [new PairEffect.Release(s.Acknowledged)]);
        }
        return GoSolo(back, s.Reason);
    }

    private static Transition HandOverVerified(PairState s, PairEvent.RoleRead read)
    {
        s = s with { Role = read.Role, RoleRevision = read.Revision };
        return StillOurs(read.Role, s) ? HandOverWhenCommitted(s with { IsLate = false }) : Superseded(s, read.Role);
    }

    private static Transition HandOverWhenCommitted(PairState s) => s.IsLate ? Stay(s) : s.Final is { } final && s.Acknowledged >= final
        ? new(s with { Phase = PairPhase.Frozen, Reason = "handed over, waiting for the standby to run" },
            [new PairEffect.Release(final), new PairEffect.TellTakeNow(final), new PairEffect.WatchRole()])
        : new(s, s.Acknowledged > Epoch.None ? [new PairEffect.Release(s.Acknowledged)] : Nothing);

    private static Transition Thaw(PairState s, PairEvent.RoleRead read)
    {
        s = s with { Role = read.Role, RoleRevision = read.Revision };
        return read.Role switch
        {
            { State: RoleState.Running } role when role.Primary == s.Me => RunAlone(s, role.Reason),
            { State: RoleState.Running or RoleState.Stopped } role when role.Primary != s.Me => Leave(s, $"{role.Primary.Host} runs this VM now: {role.Reason}"),
            { State: RoleState.Protected } role when role.Primary != s.Me => Leave(s, $"{role.Primary.Host} runs this VM now: {role.Reason}"),
            null => Leave(s, "this VM has no role any more"),
            _ => Stay(s),
        };
    }

    private static Transition RunAlone(PairState s, string why) => new(
        s with { Phase = PairPhase.Alone, Peer = null, PeerLost = false, IsLate = false, Final = null, IsHandedOver = false, HasLastWord = false, Reason = why },
        s.IsHandedOver ? [new PairEffect.EndMigration(why)] : [new PairEffect.EndCheckpointing(why), new PairEffect.ReleaseAll(), new PairEffect.OpenGate()]);

    /// <summary>The guest is gone. A protected one lives on with the standby, which is told at once (rule 8).</summary>
    private static Transition GuestDied(PairState s, string why) => s.Phase switch
    {
        PairPhase.Protected or PairPhase.Protecting or PairPhase.Verifying or PairPhase.HandingOver or PairPhase.GoingSolo or PairPhase.Frozen =>
            Leave(s, why, new PairEffect.TellPrimaryDown(why)),
        PairPhase.Syncing => Leave(s, why, new PairEffect.TellDismiss(why)),
        PairPhase.Claiming or PairPhase.Stopping => Stay(s),
        _ => Leave(s, why),
    };

    private static Transition PrimaryWon(PairState s) => s.Phase switch
    {
        PairPhase.Claiming => new(s with { Phase = PairPhase.Alone, Reason = s.Role!.Reason }, [new PairEffect.StartGuest(s.Adopting)]),
        PairPhase.Protecting when s.PeerLost => GoSolo(s, s.Reason),
        PairPhase.Protecting when s.IsLate => new(
            s with { Phase = PairPhase.Verifying, IsLate = false, Reason = "was late while protection began" }, [new PairEffect.TellProtected(), new PairEffect.ReadRole()]),
        PairPhase.Protecting => new(
            s with { Phase = PairPhase.Protected, Reason = "" }, [new PairEffect.TellProtected(), new PairEffect.Release(s.Acknowledged)]),
        PairPhase.GoingSolo => RunAlone(s, s.Role!.Reason),
        PairPhase.Stopping => Leave(s, s.Role!.Reason, new PairEffect.TellDismiss(s.Role.Reason), new PairEffect.StopGuest()),
        _ => Stay(s),
    };

    private static Transition PrimaryLost(PairState s, Role? current, long revision)
    {
        s = s with { Role = current, RoleRevision = revision };
        return s.Phase switch
        {
            PairPhase.Claiming => new(s, [new PairEffect.ReadRole()]),
            PairPhase.Protecting when current is { State: RoleState.Running } && current.Primary == s.Me => EndSync(s, "the role changed meanwhile"),
            _ => Superseded(s, current),
        };
    }

    /// <summary>Somebody else moved the role: gone once another runs, frozen until the role says who does.</summary>
    private static Transition Superseded(PairState s, Role? current)
    {
        if (s.IsHandedOver && current is { State: RoleState.Running } && current.Primary == s.Peer)
        {
            return Yield(s, current, s.RoleRevision) with { Effects = s.HasLastWord ? [new PairEffect.WatchRole(), new PairEffect.ReadRole()] : [new PairEffect.WatchRole()] };
        }
        s = s with { Phase = PairPhase.Frozen, Reason = current?.Reason ?? "this VM has no role any more" };
        var decided = Thaw(s, new PairEvent.RoleRead(current, s.RoleRevision));
        return decided.State.Phase == PairPhase.Frozen
            ? new(decided.State, [new PairEffect.CloseGate(), new PairEffect.WatchRole()])
            : decided;
    }

    private static bool IsTakenFrom(Role? role, PairState s) => role is { State: RoleState.Taking } && role.Primary == s.Me;

    private static bool StillOurs(Role? role, PairState s) => role is { State: RoleState.Protected } && role.Primary == s.Me;

    private static Transition Swapping(PairState s, params IEnumerable<PairEffect> before) =>
        new(s, [.. before, new PairEffect.SwapRole(s.Pending!)]);
}
