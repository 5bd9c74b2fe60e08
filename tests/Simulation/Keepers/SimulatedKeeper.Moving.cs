using Pollux.Cluster.Store;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Judgement;

namespace Pollux.Simulation.Keepers;

/// <content>Live migration, after KeeperProcess.Moving.</content>
internal sealed partial class SimulatedKeeper
{
    private const double ExpectMs = 30_000;
    private const double PollMs = 20;
    private const double RunWithinMs = 10_000;
    private SimulatedMovingSource? _moving;
    private bool _hasMoved;
    private bool _isUndoing;

    /// <summary>Waits for a guest that moves here.</summary>
    public SimulatedArrival? Arrival { get; private set; }

    /// <summary>Why not, or null.</summary>
    public string? Migrate(Member destination)
    {
        if (State.Phase == PairPhase.Moving && State.Peer == destination)
        {
            return null;
        }
        if (State.Phase != PairPhase.Alone || !HasGuest || !QemuAnswers || _isUndoing)
        {
            return $"it cannot move while it is {PhaseName()}";
        }
        Post(new PairEvent.MigrateRequested(destination));
        return null;
    }

    public void CancelMove()
    {
        if (State.Phase is PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding)
        {
            Post(new PairEvent.MigrationCancelled());
        }
    }

    public void SendAway() => Post(new PairEvent.SentAway("sent away by its agent"));

    /// <summary>What is asked of QEMU before a move or a protection is answered after the <c>cont</c> of a guest that has arrived.</summary>
    private bool QemuAnswers => Qemu is { ArrivedFrom: null, Process.IsFrozen: false };

    private bool DoForMove(PairEffect effect)
    {
        switch (effect)
        {
            case PairEffect.BeginMigration begin:
                _moving = new SimulatedMovingSource(_world, this, begin.Destination);
                _moving.Begin();
                return true;
            case PairEffect.CompleteMigration:
                _moving?.Complete();
                return true;
            case PairEffect.TellHandOver hand:
                _moving?.TellHandOver(hand.Role, hand.Revision);
                return true;
            case PairEffect.EndMigration end:
                _isUndoing = _moving is not null;
                if (_moving is not null)
                {
                    Qemu!.Moves = false;
                }
                _moving?.End(end.Why, () => _isUndoing = false);
                _moving = null;
                return true;
            case PairEffect.RunGuest:
                Process.After(0.2 + (_world.Random.NextDouble() * 3), RunArrived);
                return true;
            case PairEffect.TellDismiss dismiss when _moving is { } moving:
                moving.Dismiss(dismiss.Why);
                return true;
            case PairEffect.TellDismiss dismiss when Arrival is { } arrival:
                arrival.Dismiss(dismiss.Why);
                // The last words leave first.
                Process.After(1, () =>
                {
                    Arrival?.Dispose();
                    Arrival = null;
                });
                return true;
            default:
                return false;
        }
    }

    private void RunArrived()
    {
        if (!Qemu!.IsAlive)
        {
            Post(new PairEvent.GuestCouldNotRun("QEMU ended"));
            return;
        }
        Qemu.Continue();
        AwaitArrived(_world.Time.NowMs + RunWithinMs);
    }

    private void AwaitArrived(double untilMs)
    {
        if (!Qemu!.IsAlive)
        {
            Post(new PairEvent.GuestCouldNotRun("QEMU ended"));
        }
        else if (Qemu is { GuestRuns: true, Process.IsFrozen: false })
        {
            Qemu.Moves = false;
            // What is still to be done then may be overtaken by the news of its death.
            Process.After(_world.Random.NextDouble() * 5, () => Post(new PairEvent.GuestRuns()));
        }
        else if (_world.Time.NowMs >= untilMs)
        {
            Qemu.Process.Kill();
            Post(new PairEvent.GuestCouldNotRun("QEMU did not let it run"));
        }
        else
        {
            Process.After(1, () => AwaitArrived(untilMs));
        }
    }

    private void BecomeDestination()
    {
        TellEndpoint(StandbyState.Preparing, null, () =>
        {
            var qemu = NewQemu(null);
            qemu.Moves = true;
            Process.After(100 + (_world.Random.NextDouble() * 400), () =>
            {
                if (!qemu.IsAlive)
                {
                    CannotTakeIn("QEMU ended");
                    return;
                }
                Attach(qemu);
                Arrival = new SimulatedArrival(_world, this);
                Arrival.Listen();
                TellEndpoint(StandbyState.Ready, null, () =>
                {
                    Post(new PairEvent.Started());
                    Process.After(ExpectMs, LeaveWhenNobodyCame);
                }, CannotTakeIn);
            });
        }, CannotTakeIn);
    }

    private void CannotTakeIn(string why)
    {
        Post(new PairEvent.ArrivalFailed(why));
        Post(new PairEvent.Started());
    }

    private void LeaveWhenNobodyCame()
    {
        if (State.Phase == PairPhase.Expecting)
        {
            Post(new PairEvent.Dismissed("no source came within 30 s"));
        }
    }

    /// <summary>What checkpoints or a migration have left behind in a QEMU whose keeper died, as CheckpointChannel.EndColo and StrayMigration end it.</summary>
    /// <param name="done">When the guest runs, or QEMU is dead.</param>
    private void EndStray(SimulatedQemu qemu, Action done)
    {
        if (qemu.HandedOverAt is not null || qemu.ArrivedFrom is not null)
        {
            _world.Coverage.Add(Seen.AdoptedAfterHandOver);
        }
        if (qemu.IsMigrating)
        {
            qemu.EndMigration();
        }
        else if (qemu.ArrivedFrom is not null)
        {
            qemu.Continue();
        }
        else
        {
            qemu.EndCheckpoints();
        }
        AwaitRunning(qemu, done);
    }

    private void AwaitRunning(SimulatedQemu qemu, Action done)
    {
        if (!qemu.IsAlive || (!qemu.Process.IsFrozen && qemu is { GuestRuns: true, IsMigrating: false }))
        {
            done();
        }
        else
        {
            Process.After(PollMs, () => AwaitRunning(qemu, done));
        }
    }

    private void CloseMove()
    {
        Arrival?.Dispose();
        _moving?.Close();
        (Arrival, _moving) = (null, null);
    }

    /// <summary>What a life has seen of moves, as far as one state does not tell it.</summary>
    private void NoteMove(PairState before, PairState after)
    {
        if ((before.Phase, after.Phase) != (PairPhase.Resuming, PairPhase.Alone))
        {
            return;
        }
        _hasMoved = true;
        if (_world.Keepers[before.Peer!.Incarnation] is { Process.IsAlive: false })
        {
            _world.Coverage.Add(Seen.LandedAfterTheSourcesDeath);
        }
    }
}
