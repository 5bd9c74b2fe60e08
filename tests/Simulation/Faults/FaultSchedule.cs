using Pollux.Replication.Pair;
using Pollux.Simulation.Agents;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;
using Pollux.Simulation.Keepers;

namespace Pollux.Simulation.Faults;

/// <summary>Lets the plan's faults strike when their moment comes, and undoes them.</summary>
internal sealed class FaultSchedule
{
    private readonly World _world;
    private readonly List<Fault> _waiting;
    private readonly Dictionary<PairPhase, int> _entered = [];
    private readonly Dictionary<string, int> _carriedOut = [];
    private readonly List<Action> _undo = [];
    private readonly bool _moves;
    private int _rehearsalsToFail;
    private bool _isOver;

    public FaultSchedule(World world, FaultPlan plan)
    {
        (_world, _waiting, _moves) = (world, [.. plan.Faults.Where(f => f.When is not Moment.At)], plan.Moves);
        foreach (var fault in plan.Faults)
        {
            switch (fault.When)
            {
                case Moment.At at: world.Time.At(at.Ms, () => Strike(fault, null)); break;
                case Moment.Entering entering: world.Time.At(entering.LatestMs, () => StrikeLate(fault)); break;
                case Moment.Before before: world.Time.At(before.LatestMs, () => StrikeLate(fault)); break;
            }
        }
    }

    /// <summary>Somebody has once wished that the VM stops.</summary>
    public bool WasStopWished { get; private set; }

    /// <summary>A keeper is about to carry out an effect; it may be dead or frozen when this returns.</summary>
    public void Before(SimulatedKeeper keeper, PairEffect effect) => Before(keeper, effect.GetType().Name);

    /// <summary>The store is about to take in that a standby, or a destination, is ready; nobody has heard that it has.</summary>
    public void BeforeOffer(SimulatedKeeper keeper) => Before(keeper, Moment.Offer);

    private void Before(SimulatedKeeper keeper, string name)
    {
        if (_waiting.Count == 0)
        {
            return;
        }
        var nth = _carriedOut[name] = _carriedOut.GetValueOrDefault(name) + 1;
        foreach (var fault in _waiting.Where(f => f.When is Moment.Before before && before.Effect == name && before.Nth == nth).ToList())
        {
            _waiting.Remove(fault);
            Strike(fault, keeper);
        }
    }

    public void Entered(SimulatedKeeper keeper, PairPhase phase)
    {
        if (_waiting.Count == 0)
        {
            return;
        }
        var nth = _entered[phase] = _entered.GetValueOrDefault(phase) + 1;
        foreach (var fault in _waiting.Where(f => f.When is Moment.Entering entering && entering.Phase == phase && entering.Nth == nth).ToList())
        {
            _waiting.Remove(fault);
            _world.Time.After(((Moment.Entering)fault.When).DelayMs, () => Strike(fault, keeper));
        }
    }

    public bool RehearsalFails() => _rehearsalsToFail > 0 && _rehearsalsToFail-- > 0;

    /// <summary>No fault any more, and all that were are undone.</summary>
    public void HealAll()
    {
        _isOver = true;
        _waiting.Clear();
        foreach (var undo in _undo)
        {
            undo();
        }
        _undo.Clear();
        _rehearsalsToFail = 0;
        Wish(r => r with { Protect = true }, r => r);
        foreach (var host in _world.Hosts)
        {
            _world.StartAgent(host);
        }
    }

    private void Strike(Fault fault, SimulatedKeeper? at)
    {
        if (_isOver || HostOf(fault, at) is not { } host)
        {
            return;
        }
        _world.Trace?.Say($"FAULT {fault}: {host.Id}");
        _world.Coverage.Add(Seen.FaultStruck);
        if (Do(fault, host) is { } undo)
        {
            var once = Once(undo, $"healed {fault}");
            _undo.Add(once);
            _world.Time.After(fault.ForMs, once);
        }
    }

    private void StrikeLate(Fault fault)
    {
        if (_waiting.Remove(fault))
        {
            Strike(fault, null);
        }
    }

    private Action Once(Action undo, string what)
    {
        var done = false;
        return () =>
        {
            if (!done)
            {
                done = true;
                _world.Trace?.Say(what);
                undo();
            }
        };
    }

    private SimulatedHost? HostOf(Fault fault, SimulatedKeeper? at)
    {
        var role = _world.Store.Role;
        return fault.Victim switch
        {
            Victim.Self => at is null ? _world.Hosts.First() : at.Process.Host,
            Victim.Other => _world.Hosts.FirstOrDefault(h => h != at?.Process.Host && h.Keeper is not null) ?? _world.Hosts.First(h => h != at?.Process.Host),
            Victim.Primary => role is null ? null : _world.Host(role.Primary.Host),
            Victim.Standby => _world.Hosts.FirstOrDefault(h => h.Keeper is { Process.IsAlive: true, State.IsStandby: true }),
            _ => _world.Hosts.ElementAt((int)(fault.Amount * _world.Hosts.Count)),
        };
    }

    /// <summary>Returns how it is undone; null when there is nothing to undo.</summary>
    private Action? Do(Fault fault, SimulatedHost host)
    {
        var keeper = host.Keeper is { Process.IsAlive: true } alive ? alive : null;
        switch (fault.Kind)
        {
            case FaultKind.PowerOff: return PowerOff(host);
            case FaultKind.KillKeeper:
                _world.Checker.LastCopy.Strikes(keeper);
                keeper?.Process.Kill();
                return null;
            case FaultKind.KillQemu:
                if ((keeper?.Qemu ?? host.Record) is { } qemu)
                {
                    _world.Checker.LastCopy.QemuDies(qemu);
                    qemu.Process.Kill();
                }
                return null;
            case FaultKind.KillAgent:
                host.Agent?.Process.Kill();
                return () => _world.StartAgent(host);
            case FaultKind.FreezeHost:
                host.Freeze();
                return host.Thaw;
            case FaultKind.FreezeKeeper: return Freeze(keeper?.Process);
            case FaultKind.FreezeQemu: return Freeze(keeper?.Qemu?.Process);
            case FaultKind.Cut: return Cut(host, bothWays: true);
            case FaultKind.CutOneWay: return Cut(host, bothWays: false);
            case FaultKind.BreakLinks:
                _world.Network.Break(heartbeatsOnly: false);
                return null;
            case FaultKind.BreakHeartbeats:
                _world.Network.Break(heartbeatsOnly: true);
                return null;
            case FaultKind.SlowLink: return Slow(host, 10_000 * Math.Pow(100, fault.Amount));
            case FaultKind.BusyHost:
                host.BusyMs = 10 + (fault.Amount * 250);
                return () => host.BusyMs = 0;
            case FaultKind.CutFromStore:
                _world.Calls.Cut(host.Id, to: fault.Amount < 0.7, from: fault.Amount > 0.3);
                return () => _world.Calls.Heal(host.Id);
            case FaultKind.LoseQuorum:
                _world.Store.LoseQuorum();
                return _world.Calls.FindQuorum;
            case FaultKind.UnreliableStore:
                _world.Calls.Unreliable = 10 + (int)(fault.Amount * 70);
                return () => _world.Calls.Unreliable = 0;
            default: return Ask(fault, host, keeper);
        }
    }

    private Action? Ask(Fault fault, SimulatedHost host, SimulatedKeeper? keeper)
    {
        switch (fault.Kind)
        {
            case FaultKind.RefuseState:
                foreach (var standby in _world.LivingKeepers.Where(k => k.State.IsStandby))
                {
                    standby.RefusesState = true;
                    _world.Checker.LastCopy.Strikes(standby);
                }
                return null;
            case FaultKind.FailRehearsal:
                _rehearsalsToFail++;
                return null;
            case FaultKind.EndCheckpoints:
                if (keeper?.Qemu is { IsAlive: true, IsCheckpointing: true } checkpointed)
                {
                    checkpointed.FailCheckpoints();
                }
                return null;
            case FaultKind.PlannedTakeover:
                foreach (var primary in _world.LivingKeepers.Where(k => !k.State.IsStandby && !k.Process.IsFrozen))
                {
                    primary.TakeOver();
                }
                return null;
            case FaultKind.Unprotect: return Wish(r => r with { Protect = false }, r => r with { Protect = true });
            case FaultKind.Migrate: return Migrate(fault, host);
            case FaultKind.CancelMigration:
                foreach (var source in _world.LivingKeepers.Where(k => !k.Process.IsFrozen))
                {
                    source.CancelMove();
                }
                return null;
            case FaultKind.Stop:
                WasStopWished = true;
                var undo = Wish(r => r with { Run = false }, r => r with { Run = true });
                if (fault.Amount < 0.5 && keeper is { Process.IsFrozen: false })
                {
                    _world.Checker.LastCopy.Strikes(keeper);
                    keeper.Stop(force: fault.Amount < 0.25);
                }
                else if (fault.Amount < 0.25 && keeper is null && host.Id == _world.Store.Role?.Primary.Host && host.Agent is { Process.IsAlive: true } agent)
                {
                    agent.ClearByForce();
                }
                return undo;
            default: throw new InvalidOperationException($"no such fault: {fault.Kind}");
        }
    }

    /// <summary>A VM that shall be protected is unprotected for it. Any agent is asked; any host but the one that it runs on is where it goes.</summary>
    private Action? Migrate(Fault fault, SimulatedHost host)
    {
        var undo = _moves ? null : Wish(r => r with { Protect = false }, r => r with { Protect = true });
        var others = _world.Hosts.Where(h => h.Id != _world.Store.Role?.Primary.Host).ToList();
        var to = others[(int)(fault.Amount * others.Count)].Id;
        if ((host.Agent ?? _world.Host(to).Agent) is { Process.IsAlive: true } api)
        {
            new SimulatedMoveOrder(_world, api, to).Begin(_world.Time.NowMs + fault.ForMs);
        }
        return undo;
    }

    private Action PowerOff(SimulatedHost host)
    {
        if (host.IsOn)
        {
            _world.Checker.LastCopy.HostDies(host);
            host.PowerOff();
            _world.Network.PowerOff(host);
        }
        return () =>
        {
            if (!host.IsOn)
            {
                host.PowerOn();
                _world.StartAgent(host);
                _world.Network.MoveAll();
            }
        };
    }

    private static Action? Freeze(SimulatedProcess? process)
    {
        process?.Freeze();
        return process is null ? null : process.Thaw;
    }

    private Action Cut(SimulatedHost host, bool bothWays)
    {
        foreach (var other in _world.Hosts.Where(h => h != host))
        {
            _world.Network.Cut(host, other);
            if (bothWays)
            {
                _world.Network.Cut(other, host);
            }
        }
        return () =>
        {
            foreach (var other in _world.Hosts.Where(h => h != host))
            {
                _world.Network.Heal(host, other);
                _world.Network.Heal(other, host);
            }
        };
    }

    private Action Slow(SimulatedHost host, double bytesPerMs)
    {
        foreach (var other in _world.Hosts.Where(h => h != host))
        {
            _world.Network.Slow(host, other, bytesPerMs);
        }
        return () =>
        {
            foreach (var other in _world.Hosts.Where(h => h != host))
            {
                _world.Network.Quicken(host, other);
            }
        };
    }

    private Action Wish(Func<Pollux.Cluster.Store.VmRecord, Pollux.Cluster.Store.VmRecord> wish, Func<Pollux.Cluster.Store.VmRecord, Pollux.Cluster.Store.VmRecord> back)
    {
        void Set(Func<Pollux.Cluster.Store.VmRecord, Pollux.Cluster.Store.VmRecord> change)
        {
            _world.Store.Record = change(_world.Store.Record);
            _world.Store.Changed?.Invoke();
        }
        Set(wish);
        return () => Set(back);
    }
}
