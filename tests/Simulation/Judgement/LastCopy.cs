using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Keepers;

namespace Pollux.Simulation.Judgement;

/// <summary>
/// Knows which copies of the guest faults have destroyed, and by the role whether that was the last one with which somebody had to go on. Only then,
/// or when its user has stopped it, may the VM start anew.
/// </summary>
internal sealed class LastCopy(World world)
{
    private readonly HashSet<SimulatedQemu> _killed = [];
    private readonly HashSet<SimulatedKeeper> _struck = [];
    private readonly HashSet<SimulatedKeeper> _stood = [];

    /// <summary>What there was of this life of the guest is gone, and it was no mistake.</summary>
    public bool IsGone { get; private set; }

    public void BeginsAnew() => IsGone = false;

    /// <summary>An agent throws away what a dead keeper left: as it should, if the VM was to be stopped.</summary>
    public void IsCleared() => IsGone |= world.Faults.WasStopWished;

    public void HostDies(SimulatedHost host)
    {
        foreach (var qemu in world.Qemus.Where(q => q.Process.Host == host && q.IsAlive).ToList())
        {
            QemuDies(qemu);
        }
        Strikes(host.Keeper);
    }

    public void QemuDies(SimulatedQemu qemu)
    {
        if (!qemu.IsAlive)
        {
            return;
        }
        _killed.Add(qemu);
        // A claim that is on its way may still win, and names the dead then: nobody can take it back.
        IsGone |= qemu.Guest is not null && world.Keepers.Values.Any(k => k.Process.Host == qemu.Process.Host && k.State.Pending?.Next is { State: RoleState.Running } next && next.Primary == k.Me);
        Strikes(world.LivingKeepers.FirstOrDefault(k => k.Qemu == qemu));
    }

    /// <summary>A standby's keeper that dies, or whose QEMU does or refuses the state: what it held is of no use any more.</summary>
    public void Strikes(SimulatedKeeper? keeper)
    {
        if (keeper is not null)
        {
            _struck.Add(keeper);
        }
        if (Primary() is not var (role, qemu))
        {
            return;
        }
        var hasStandby = role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby } && HoldsTheGuest(world.Keepers[standby.Incarnation]);
        IsGone |= !hasStandby && qemu is not null && _killed.Contains(qemu);
    }

    /// <summary>It was told that it protects: from now on it may not just leave.</summary>
    public void Stands(SimulatedKeeper standby) => _stood.Add(standby);

    /// <summary>It may name another copy now, which lives; or say that the VM was stopped.</summary>
    public void RoleMoved()
    {
        if (Primary() is not var (role, qemu))
        {
            return;
        }
        IsGone = role.State == RoleState.Stopped || (IsGone && !(role.State == RoleState.Running && qemu is { IsAlive: true, Guest: not null }));
    }

    private bool HoldsTheGuest(SimulatedKeeper standby) => !_struck.Contains(standby) && (_stood.Contains(standby) || standby.State.Phase != PairPhase.Gone);

    private (Role Role, SimulatedQemu? Qemu)? Primary() =>
        world.Store.Role is { } role && world.Keepers.GetValueOrDefault(role.Primary.Incarnation) is { } primary ? (role, primary.Qemu ?? primary.Process.Host.Record) : null;
}
