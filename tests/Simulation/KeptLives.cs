using Pollux.Simulation.Faults;

namespace Pollux.Simulation;

/// <summary>A plan of faults under which the product once broke a promise.</summary>
/// <param name="What">What happens in it, and what went wrong then.</param>
internal sealed record KeptLife(string What, FaultPlan Plan);

/// <summary>
/// Plans that found a fault, kept by their faults rather than by their seed, which means another life as soon as the simulator changes. Each is
/// lived with many seeds.
/// </summary>
internal static class KeptLives
{
    public static IReadOnlyList<KeptLife> All { get; } =
    [
        new("a primary freezes while it hands over, and is replaced; it let out what it found acknowledged when it thawed", new FaultPlan(
            [
                new Fault(1, FaultKind.FreezeHost, Victim.Standby, new Moment.At(1_843), 3_521, 0.5),
                new Fault(2, FaultKind.PlannedTakeover, Victim.AnyHost, new Moment.At(1_843), 1_248, 0.5),
                new Fault(3, FaultKind.FreezeKeeper, Victim.Primary, new Moment.At(1_887), 4_499, 0.5),
            ],
            5_972)),
        new("a primary freezes as it asks for the role to say protected, and is replaced", new FaultPlan(
            [new Fault(1, FaultKind.FreezeKeeper, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Protecting, 1, 0.5, 4_000), 2_000, 0.5)],
            5_000)),
        new("a primary freezes as it goes solo, and is replaced", new FaultPlan(
            [
                new Fault(1, FaultKind.FreezeKeeper, Victim.Standby, new Moment.At(2_000), 400, 0.5),
                new Fault(2, FaultKind.CutFromStore, Victim.Primary, new Moment.At(1_900), 600, 0.5),
                new Fault(3, FaultKind.FreezeKeeper, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.GoingSolo, 1, 5, 4_000), 2_000, 0.5),
            ],
            5_000)),
        new("a VM is stopped while its QEMU starts; its guest's frames passed when the role said stopped", new FaultPlan(
            [new Fault(1, FaultKind.Stop, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Alone, 1, 0, 4_000), 1_000, 0.1)],
            3_000)),
        new("a VM is stopped before a busy host has got to starting its QEMU, which it started all the same", new FaultPlan(
            [
                new Fault(1, FaultKind.Stop, Victim.Primary, new Moment.At(1_611), 670, 0.5),
                new Fault(2, FaultKind.BusyHost, Victim.Primary, new Moment.At(2_362), 1_656, 0.9),
                new Fault(3, FaultKind.Stop, Victim.Primary, new Moment.At(2_362), 4_330, 0.5),
            ],
            7_000)),
        new("a user does not hear whether the source was asked to move a VM, and sends the destination away, which had landed it; the VM was stopped for it", new FaultPlan(
            [new Fault(1, FaultKind.Migrate, Victim.AnyHost, new Moment.At(600), 500, 0.2)],
            3_000, Moves: true)),
        new("an agent looks at the store, then at its host, on which a VM lands between the two; it stopped the VM as one that runs elsewhere", new FaultPlan(
            [
                new Fault(1, FaultKind.Migrate, Victim.AnyHost, new Moment.At(300), 300, 0.1),
                new Fault(2, FaultKind.Migrate, Victim.AnyHost, new Moment.At(1_900), 1_500, 0.9),
                new Fault(3, FaultKind.Migrate, Victim.AnyHost, new Moment.At(4_300), 1_500, 0.4),
                new Fault(4, FaultKind.Migrate, Victim.AnyHost, new Moment.At(6_800), 1_500, 0.6),
            ],
            9_500, Moves: true)),
        new("a destination's QEMU dies while its swap is under way, so that it gives back what it wins; the agent of the source had stopped that meanwhile, as one that runs elsewhere", new FaultPlan(
            [
                new Fault(1, FaultKind.Migrate, Victim.AnyHost, new Moment.At(600), 100, 0.2),
                new Fault(2, FaultKind.LoseQuorum, Victim.Primary, new Moment.Entering(Replication.Pair.PairPhase.Landing, 1, 0, 6_000), 3_600, 0.5),
                new Fault(3, FaultKind.KillQemu, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Landing, 1, 500, 6_000), 100, 0.5),
            ],
            12_000, Moves: true)),
        new("a destination's keeper dies while its swap is under way; the agent, which shall have a standby there, threw its QEMU away before the swap won", new FaultPlan(
            [
                new Fault(1, FaultKind.Migrate, Victim.Other, new Moment.Entering(Replication.Pair.PairPhase.Protected, 1, 0, 6_000), 621, 0.5),
                new Fault(2, FaultKind.LoseQuorum, Victim.Primary, new Moment.Entering(Replication.Pair.PairPhase.Landing, 1, 0, 6_000), 1_000, 0.5),
                new Fault(3, FaultKind.KillKeeper, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Landing, 1, 800, 6_000), 100, 0.5),
            ],
            9_000)),
        new("a source's keeper dies when it has handed over, while the destination's QEMU hangs and will be given up; the agent of the source cleared what would come back", new FaultPlan(
            [
                new Fault(1, FaultKind.Migrate, Victim.AnyHost, new Moment.At(600), 500, 0.2),
                new Fault(2, FaultKind.FreezeQemu, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Resuming, 1, 0, 6_000), 12_000, 0.5),
                new Fault(3, FaultKind.KillKeeper, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Yielding, 1, 500, 6_000), 100, 0.5),
            ],
            18_000, Moves: true)),
        new("the same, but the source's keeper dies before the destination has won; the keeper that was to adopt its QEMU killed it when it found the role gone", new FaultPlan(
            [
                new Fault(1, FaultKind.Migrate, Victim.AnyHost, new Moment.At(600), 500, 0.2),
                new Fault(2, FaultKind.KillKeeper, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.HandedOff, 1, 20, 6_000), 100, 0.5),
                new Fault(3, FaultKind.FreezeKeeper, Victim.Self, new Moment.Before(nameof(Replication.Pair.PairEffect.SwapRole), 2, 8_000), 400, 0.5),
                new Fault(4, FaultKind.FreezeQemu, Victim.Self, new Moment.Entering(Replication.Pair.PairPhase.Resuming, 1, 0, 6_000), 12_000, 0.5),
            ],
            18_000, Moves: true)),
        new("a primary's keeper dies, and its QEMU a moment later; the keeper that was to adopt it claimed the VM all the same, and the standby, which had the last commit, left", new FaultPlan(
            [
                new Fault(1, FaultKind.KillKeeper, Victim.Primary, new Moment.At(3_000), 100, 0.5),
                new Fault(2, FaultKind.FreezeKeeper, Victim.Standby, new Moment.At(3_000), 2_000, 0.5),
                new Fault(3, FaultKind.KillQemu, Victim.Self, new Moment.Before(nameof(Replication.Pair.PairEffect.ReadRole), 2, 8_000), 100, 0.5),
            ],
            9_000)),
        new("nobody wants the standby any more in the milliseconds in which it acknowledges the first copy; its agent, whose look was older than the primary's swap, sent away what the role named, and the primary lost its power", new FaultPlan(
            [
                new Fault(1, FaultKind.Unprotect, Victim.AnyHost, new Moment.Entering(Replication.Pair.PairPhase.Receiving, 1, 120, 6_000), 2_500, 0.5),
                new Fault(2, FaultKind.PowerOff, Victim.Self, new Moment.Before(nameof(Replication.Pair.PairEffect.TellProtected), 1, 6_000), 3_000, 0.5),
            ],
            9_000)),
        new("a standby does not hear from the store that it is offered as ready, though it is; it left for that when it had long acknowledged, and the primary's QEMU died", new FaultPlan(
            [
                new Fault(1, FaultKind.CutFromStore, Victim.Self, new Moment.Before(Moment.Offer, 1, 6_000), 3_000, 0.8),
                new Fault(2, FaultKind.KillQemu, Victim.Other, new Moment.Entering(Replication.Pair.PairPhase.Standing, 1, 1_500, 6_000), 100, 0.5),
            ],
            9_000)),
    ];
}
