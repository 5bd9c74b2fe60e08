using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Judgement;

namespace Pollux.Simulation.Keepers;

/// <content>Mirrors KeeperProcess.Guest: how this side comes by its guest, started or adopted.</content>
internal sealed partial class SimulatedKeeper
{
    private bool IsGuestDying() => State is { Phase: PairPhase.Claiming, Adopting: var adopting } ? adopting && _orphan is not { IsAlive: true } : Qemu is { IsAlive: false };

    private void StartGuest(bool adopt)
    {
        var orphan = _orphan;
        _orphan = null;
        if (adopt && orphan is not { IsAlive: true })
        {
            Post(new PairEvent.QemuExited("the QEMU to adopt has ended"));
            return;
        }
        if (State.Phase != PairPhase.Alone)
        {
            orphan?.Process.Kill();
            return;
        }
        if (!adopt)
        {
            _world.Checker.ColdStart(this);
        }
        var qemu = orphan ?? NewQemu(_world.NewLife());
        Process.After(30 + (_world.Random.NextDouble() * 100), () =>
        {
            if (!qemu.IsAlive)
            {
                Post(new PairEvent.QemuExited("QEMU ended before it was attached"));
                return;
            }
            if (State.Phase != PairPhase.Alone)
            {
                qemu.Process.Kill();
                return;
            }
            if (adopt)
            {
                EndStray(qemu, () => AttachRunning(qemu));
                return;
            }
            Attach(qemu);
            Pass();
            qemu.RunGuest();
        });
    }

    private void AttachRunning(SimulatedQemu qemu)
    {
        if (!qemu.IsAlive)
        {
            Post(new PairEvent.QemuExited("QEMU ended before it was attached"));
            return;
        }
        if (State.Phase != PairPhase.Alone)
        {
            // Stopped before it ran: the role says so, or is about to.
            qemu.Process.Kill();
            return;
        }
        qemu.Moves = false;
        Attach(qemu);
        Pass();
    }

    private SimulatedQemu NewQemu(History? guest)
    {
        var qemu = new SimulatedQemu(Process.Host, _world.Random, guest, _world.Settings.GuestStepMs) { Runs = _world.Checker.Runs };
        _world.Qemus.Add(qemu);
        Process.Host.Record = qemu;
        return qemu;
    }
}
