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

    /// <summary>What there was of this life of the guest is gone, and it was no mistake.</summary>
    public bool IsGone { get; private set; }

    public void BeginsAnew() => IsGone = false;

    /// <summary>An agent throws away what a dead keeper left: as it should, if the VM was to be stopped.</summary>
    public void IsCleared() => IsGone |= world.Faults.WasStopWished;

    public void HostDies(SimulatedHost host)
    {
        _killed.UnionWith(world.Qemus.Where(q => q.Process.Host == host && q.IsAlive));
        Strikes(host.Keeper);
    }

    public void QemuDies(SimulatedQemu qemu)
    {
        if (qemu.IsAlive)
        {
            _killed.Add(qemu);
        }
        Strikes(world.LivingKeepers.FirstOrDefault(k => k.Qemu == qemu));
    }

    /// <summary>A standby's keeper that dies, or whose QEMU does or refuses the state: what it held is of no use any more.</summary>
    public void Strikes(SimulatedKeeper? keeper)
    {
        if (keeper is not null)
        {
            _struck.Add(keeper);
        }
        Weigh();
    }

    /// <summary>To be called when a copy has gone, or the role has moved.</summary>
    public void Weigh()
    {
        if (world.Store.Role is not { } role || world.Keepers.GetValueOrDefault(role.Primary.Incarnation) is not { } primary)
        {
            return;
        }
        var qemu = primary.Qemu ?? primary.Process.Host.Record;
        if (role is { State: RoleState.Running } && qemu is { IsAlive: true, Guest: not null } && !_killed.Contains(qemu))
        {
            IsGone = false; // It came down to another copy, which the role names now.
            return;
        }
        var hasStandby = role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby } && !_struck.Contains(world.Keepers[standby.Incarnation]);
        IsGone |= (!hasStandby && qemu is not null && _killed.Contains(qemu)) || role.State == RoleState.Stopped;
    }
}
