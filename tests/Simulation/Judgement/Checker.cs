using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Keepers;

namespace Pollux.Simulation.Judgement;

/// <summary>Stands outside, sees everything at once, and says when a promise is broken. Nothing in the simulated world asks it.</summary>
internal sealed class Checker(World world)
{
    /// <summary>What the world was told, step by step.</summary>
    private readonly List<History> _told = [];
    private int _life;
    private double _replacedAtMs;

    /// <summary>The newest step of each start of the VM that a standby has promised to keep.</summary>
    private readonly Dictionary<int, History> _committed = [];

    public long FramesOutside { get; private set; }

    public LastCopy LastCopy { get; } = new(world);

    public void Promise(bool holds, Promise promise, string what)
    {
        if (!holds)
        {
            throw new BrokenPromiseException(promise, what);
        }
    }

    /// <summary>A frame is on the wire.</summary>
    public void Leaves(SimulatedKeeper keeper, History frame)
    {
        FramesOutside++;
        if (!keeper.Passes)
        {
            var kept = _committed.GetValueOrDefault(frame.Life);
            Promise(
                kept is not null && kept.Length >= frame.Length && kept.Contains(frame), Judgement.Promise.NoUncommittedOutput,
                $"{keeper.Me} lets step {frame.Length} out, the standby has promised to keep {kept?.Length ?? 0}");
        }
        var truth = world.Store.Role;
        var isReplaced = truth?.Primary != keeper.Me;
        if (isReplaced && truth is not { State: RoleState.Taking or RoleState.Stopped })
        {
            var (thawedAtMs, forMs) = keeper.Process.LastThaw;
            Promise(
                forMs < world.Settings.DetectionMs || (thawedAtMs < _replacedAtMs && thawedAtMs < keeper.KnewTheRoleAtMs), Judgement.Promise.SilentWhenReplaced,
                $"{keeper.Me} lets step {frame.Length} out after a freeze of {forMs:F0} ms; {truth?.Primary} runs the VM");
        }
        if (isReplaced && !keeper.Passes)
        {
            // Late, as a frame that a switch has held back would be: whoever runs the VM now knows it.
            world.Coverage.Add(Seen.CommittedFrameOfAReplacedPrimary);
            if (frame.Life != _life)
            {
                return;
            }
        }
        Promise(frame.Life == _life, Judgement.Promise.NothingToldIsForgotten, $"{keeper.Me} speaks for start {frame.Life} of the VM, but start {_life} has spoken");
        Tell(keeper, frame);
    }

    /// <summary>From now on its frames leave as they come.</summary>
    public void GoesOnAlone(SimulatedKeeper keeper)
    {
        var truth = world.Store.Role;
        Promise(truth is { State: RoleState.Running } && truth.Primary == keeper.Me, Judgement.Promise.TheKeyIsTheTruth, $"{keeper.Me} goes on alone, the role says {truth?.State} on {truth?.Primary}");
        foreach (var other in world.LivingKeepers)
        {
            Promise(other == keeper || !other.Passes || other.Qemu is not { IsAlive: true } || IsSilent(other), Judgement.Promise.NeverTwo, $"{keeper.Me} goes on alone beside {other.Me}");
        }
        keeper.Qemu!.IsHeld = false;
        RunsAlone(keeper.Qemu);
        if (keeper.Qemu.IsAlive && _told.Count > 0 && keeper.Qemu.Guest!.Life == _life)
        {
            var guest = keeper.Qemu.Guest;
            Promise(
                guest.Length >= _told.Count && guest.Contains(_told[^1]), Judgement.Promise.NothingToldIsForgotten,
                $"{keeper.Me} goes on from step {guest.Length} and does not know step {_told.Count} that the world was told");
        }
    }

    /// <summary>A guest begins to run, or runs on.</summary>
    public void Runs(SimulatedQemu qemu)
    {
        var (here, truth) = (qemu.Process.Host.Id, world.Store.Role);
        if (qemu.HandedOverAt is { } revision)
        {
            Promise(
                truth?.Primary.Host == here && world.Store.RoleRevision > revision, Judgement.Promise.OneRunningCopy,
                $"{here} lets the guest run on that it has handed over at revision {revision}; the role is {truth?.State} on {truth?.Primary} at {world.Store.RoleRevision}");
            qemu.HandedOverAt = null;
        }
        if (qemu.ArrivedFrom is { } from)
        {
            Promise(truth?.Primary.Host == here, Judgement.Promise.OneRunningCopy, $"{here} lets the guest run that has arrived; the role is {truth?.State} on {truth?.Primary}");
            Promise(
                ReferenceEquals(from.Guest, qemu.Guest), Judgement.Promise.OneRunningCopy,
                $"{here} runs the guest from step {qemu.Guest?.Length}; it was stopped at {from.Guest?.Length} on {from.Process.Host.Id}");
            qemu.ArrivedFrom = null;
        }
        RunsAlone(qemu);
    }

    /// <summary>The destination may let it run from now on.</summary>
    public void HandsOver(SimulatedQemu qemu, long revision)
    {
        Promise(!qemu.GuestRuns, Judgement.Promise.OneRunningCopy, $"{qemu.Process.Host.Id} hands its guest over and it runs");
        qemu.HandedOverAt = revision;
    }

    /// <summary>It begins the VM anew, from nothing.</summary>
    public void ColdStart(SimulatedKeeper keeper)
    {
        world.Coverage.Add(Seen.ColdStart);
        var truth = world.Store.Role;
        Promise(truth is { State: RoleState.Running } && truth.Primary == keeper.Me, Judgement.Promise.TheKeyIsTheTruth, $"{keeper.Me} starts the VM anew, the role says {truth?.State} on {truth?.Primary}");
        Promise(_life == 0 || LastCopy.IsGone, Judgement.Promise.TheGuestIsKept, $"{keeper.Me} starts the VM anew, though no fault has destroyed its last copy");
        _life++;
        LastCopy.BeginsAnew();
        _told.Clear();
    }

    public void Acknowledged(SimulatedKeeper standby, Epoch epoch, History? atCut)
    {
        Promise(atCut is not null, Judgement.Promise.AcknowledgedIsKept, $"{standby.Me} acknowledges epoch {epoch}, which it does not hold");
        Promise(
            standby.State.Phase is PairPhase.Ready or PairPhase.Standing or PairPhase.Deciding, Judgement.Promise.AcknowledgedIsKept,
            $"{standby.Me} acknowledges epoch {epoch} in {standby.State.Phase}: it is sealed, or not rehearsed");
        if (_committed.GetValueOrDefault(atCut!.Life) is not { } kept || kept.Length < atCut.Length)
        {
            _committed[atCut.Life] = atCut;
        }
    }

    public void Releases(SimulatedKeeper primary, Epoch upTo, SimulatedSession? session)
    {
        if (session is not null && world.Keepers.TryGetValue(session.Standby.Incarnation, out var standby))
        {
            Promise(upTo <= standby.Promised, Judgement.Promise.NoUncommittedOutput, $"{primary.Me} releases epoch {upTo}, {standby.Me} has acknowledged {standby.Promised}");
        }
    }

    public void Loads(SimulatedKeeper standby, Epoch epoch, History atCut)
    {
        Promise(epoch >= standby.Promised, Judgement.Promise.AcknowledgedIsKept, $"{standby.Me} takes over with epoch {epoch}, but had acknowledged {standby.Promised}");
        Promise(
            _told.Count == 0 || atCut.Life != _life || atCut.Length >= _told.Count || world.Store.Role?.State != RoleState.Taking, Judgement.Promise.NothingToldIsForgotten,
            $"{standby.Me} loads step {atCut.Length}, the world was told step {_told.Count}");
    }

    /// <summary>The role has moved.</summary>
    public void RoleMoved(Role? before, Role after)
    {
        world.Trace?.Say($"the role: {after.State} on {after.Primary}{(after.Standby is null ? "" : $" with {after.Standby}")} (term {after.Term}: {after.Reason})");
        Promise(after.Term == (before?.Term ?? 0) + 1, Judgement.Promise.TheKeyIsTheTruth, $"term {after.Term} follows {before?.Term}");
        Promise(after.State != RoleState.Stopped || world.Faults.WasStopWished, Judgement.Promise.StopsOnlyByWish, $"{after.Primary} stopped the VM, and nobody had wished it: {after.Reason}");
        if (after.Primary != before?.Primary)
        {
            _replacedAtMs = world.Time.NowMs;
        }
        LastCopy.RoleMoved();
        if (before is { State: RoleState.Protected or RoleState.Taking, Standby: { } lost } && after.Standby is null)
        {
            var primary = world.Keepers.GetValueOrDefault(after.Primary.Incarnation);
            Promise(
                after.Primary == before.Primary || after.Primary == lost || primary?.Start == KeeperStart.Adopt, Judgement.Promise.TheKeyIsTheTruth,
                $"{after.Primary} claims the VM although {lost} may hold its last commit");
            if (after.Nonce.EndsWith("-agent", StringComparison.Ordinal))
            {
                world.Coverage.Add(Seen.Disclaimed);
                var standby = world.Keepers[lost.Incarnation];
                Promise(!standby.Process.IsAlive || standby.State.Phase == PairPhase.Gone, Judgement.Promise.TheKeyIsTheTruth, $"{lost} is called dead, but is {standby.State.Phase}");
            }
        }
    }

    private void RunsAlone(SimulatedQemu qemu)
    {
        if (qemu.IsHeld || !qemu.GuestRuns || !qemu.IsAlive)
        {
            return;
        }
        foreach (var other in world.Qemus)
        {
            Promise(
                other == qemu || other.IsHeld || !other.GuestRuns || !other.IsAlive, Judgement.Promise.OneRunningCopy,
                $"the guest runs on {qemu.Process.Host.Id} and on {other.Process.Host.Id}");
        }
    }

    /// <summary>Its frames would pass, but its guest is handed over, stopped, and all that it said is out.</summary>
    private static bool IsSilent(SimulatedKeeper keeper) => keeper.Qemu is { HandedOverAt: not null, GuestRuns: false, Sent.Count: 0 };

    private void Tell(SimulatedKeeper keeper, History frame)
    {
        if (frame.Length <= _told.Count)
        {
            Promise(
                frame.Length == 0 || _told[frame.Length - 1] == frame, Judgement.Promise.NothingToldIsForgotten,
                $"{keeper.Me} tells of another step {frame.Length} than the world knows");
            return;
        }
        var known = _told.Count;
        System.Runtime.InteropServices.CollectionsMarshal.SetCount(_told, frame.Length);
        var step = frame;
        for (; step.Length > known; step = step.Before!)
        {
            _told[step.Length - 1] = step;
        }
        Promise(
            known == 0 || _told[known - 1] == step, Judgement.Promise.NothingToldIsForgotten,
            $"{keeper.Me} speaks at step {frame.Length} with another past than the {known} steps that the world knows");
    }
}
