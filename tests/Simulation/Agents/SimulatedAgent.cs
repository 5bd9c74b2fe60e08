using Pollux.Agent.Reconciling;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Keepers;

namespace Pollux.Simulation.Agents;

/// <summary>Mirrors ReconcileLoop, LocalVms and HostLease around the real <see cref="Reconciler"/>: looks, decides, does one thing at a time.</summary>
internal sealed class SimulatedAgent
{
    private const double AtLeastEveryMs = 500;
    private const double AskWithinMs = 40_000;
    private const double PollMs = 50;
    private const double PrepareWithinMs = 30_000;
    private const long Epoch1970 = 1_700_000_000_000;
    private readonly World _world;
    private readonly SimulatedHost _host;
    private VmMemory _memory = new();
    private long _lease;
    private bool _isActing;
    private bool _isLooking;
    private bool _hasChange;
    private long _sleep;

    public SimulatedAgent(World world, SimulatedHost host)
    {
        (_world, _host) = (world, host);
        Process = host.NewProcess("agent");
        Process.After(20 + (world.Random.NextDouble() * 100), () =>
        {
            Renew();
            Look();
        });
    }

    public SimulatedProcess Process { get; }
    public SimulatedHost Host => _host;
    public VmMemory Memory => _memory;

    /// <summary>The store's watch says that something changed.</summary>
    public void HearOfChange()
    {
        if (!_hasChange && Process.IsAlive && _world.Calls.IsReachable(_host.Id))
        {
            _hasChange = true;
            Process.After(1 + (_world.Random.NextDouble() * 10), () =>
            {
                _hasChange = false;
                Wake();
            });
        }
    }

    /// <summary>Mirrors VmService.ReceiveAsync: starts a keeper to which the VM can move, and waits until it listens.</summary>
    public void Receive(Action<Member> ready, Action<string> failed) => _world.Calls.Ask(Process, _world.Store.View, view =>
    {
        if (_host.Keeper is { Process.IsAlive: true } || view.Role?.Primary.Host == _host.Id)
        {
            failed("it has a keeper already, or the VM is its own");
            return;
        }
        if (_host.Record is { IsAlive: true })
        {
            failed("its QEMU lives here");
            return;
        }
        _host.Record = null;
        var attempt = Epoch1970 + (long)_host.NowMs;
        StartKeeper(new AgentAction.StartKeeper(_world.Vm, KeeperStart.Destination, "", attempt, null), null);
        AwaitDestination(_host.Keeper!, attempt, PrepareWithinMs, ready, failed);
    }, failed);

    private void AwaitDestination(SimulatedKeeper keeper, long attempt, double withinMs, Action<Member> ready, Action<string> failed) => Process.After(PollMs, () =>
        _world.Calls.Ask(Process, _world.Store.View, view =>
        {
            var endpoint = view.Endpoints.GetValueOrDefault(_host.Id);
            if (endpoint is { State: StandbyState.Ready } && endpoint.Attempt == attempt)
            {
                ready(new Member(endpoint.Host, endpoint.Incarnation));
            }
            else if (!keeper.Process.IsAlive || withinMs <= 0)
            {
                keeper.Process.Soon(keeper.SendAway);
                failed("its keeper is not ready");
            }
            else
            {
                AwaitDestination(keeper, attempt, withinMs - PollMs, ready, failed);
            }
        }, failed));

    private void Renew()
    {
        var next = _world.Settings.LeaseMs / 3;
        void Again() => Process.After(next, Renew);
        if (_lease == 0)
        {
            BeginLease(Again);
            return;
        }
        var lease = _lease;
        _world.Calls.Ask(Process, () => _world.Store.KeepAlive(lease), alive =>
        {
            if (alive)
            {
                Again();
            }
            else
            {
                BeginLease(Again);
            }
        }, _ => Again());
    }

    private void BeginLease(Action then) => _world.Calls.Ask(Process, () => _world.Store.GrantLease(_world.Settings.LeaseMs), lease =>
    {
        var record = new HostRecord(_host.Id, $"{_host.Id}-{_host.Boot}", "", 1, lease, 1L << 40, "7.2", "tcg");
        _world.Calls.Put(Process, () => _world.Store.HostRevision(_host.Id), at => _world.Store.PutHost(record, lease, at), put =>
        {
            _lease = put ? lease : 0;
            then();
        }, _ => then());
    }, _ => then());

    private void Wake()
    {
        if (!_isLooking)
        {
            _sleep++;
            Look();
        }
    }

    private void Look()
    {
        _isLooking = true;
        var wasActing = _isActing;
        _world.Calls.Ask(Process, () => (_world.Store.View(), _world.Store.Hosts()), seen =>
        {
            if (!wasActing)
            {
                Decide(seen.Item1, seen.Item2);
            }
            Sleep();
        }, _ => Sleep());
    }

    private void Sleep()
    {
        _isLooking = false;
        var sleep = ++_sleep;
        Process.After(AtLeastEveryMs, () =>
        {
            if (sleep == _sleep)
            {
                Look();
            }
        });
    }

    private void Decide(VmView vm, Dictionary<HostId, HostRecord> hosts)
    {
        var view = new ClusterView(
            _host.Id, _host.NowMs, Epoch1970 + (long)_host.NowMs, hosts, new Dictionary<VmName, VmView> { [vm.Name] = vm },
            new Dictionary<VmName, LocalVm> { [vm.Name] = LookHere() });
        var (memory, action) = Reconciler.Decide(view, vm.Name, _memory);
        _memory = memory;
        if (action is not null)
        {
            _world.Trace?.Say($"{_host.Id}'s agent: {action}");
            _isActing = true;
            Process.After(1 + (_world.Random.NextDouble() * 10), () => Act(action));
        }
    }

    private LocalVm LookHere()
    {
        if (_host.Keeper is { Process.IsAlive: true } keeper)
        {
            return LocalVm.Alive(keeper.Status(), _host.Attempt ?? 0);
        }
        return _host.Attempt is { } attempt
            ? new LocalVm(false, null, attempt, _host.Record is { IsAlive: true }, _host.Record is { Moves: true }, _host.Record is not null, true, _host.LastWords)
            : LocalVm.Nothing;
    }

    /// <summary>What has failed is not tried again before the next look.</summary>
    private void DoneOrFailed(bool done)
    {
        _isActing = false;
        if (done)
        {
            Wake();
        }
    }

    private void Done()
    {
        _isActing = false;
        Wake();
    }

    private void Act(AgentAction action)
    {
        var keeper = _host.Keeper is { Process.IsAlive: true } alive ? alive : null;
        switch (action)
        {
            case AgentAction.StartKeeper start:
                StartKeeper(start, keeper);
                break;
            case AgentAction.Stop stop:
                keeper?.Process.Soon(() => keeper.Stop(stop.Force));
                DoneWhen(() => keeper is not { Process.IsAlive: true });
                break;
            case AgentAction.SendAway:
                keeper?.Process.Soon(keeper.SendAway);
                Process.After(PollMs, () => DoneOrFailed(false));
                break;
            case AgentAction.ClearRemains:
                Clear(keeper);
                Done();
                break;
            case AgentAction.Assign assign:
                var assignment = assign.Host is { } host ? new StandbyAssignment(host, assign.Attempt) : null;
                _world.Calls.Ask(Process, () =>
                {
                    _world.Store.Assign(assignment, assign.ExpectedRevision);
                    return true;
                }, _ => Done(), _ => Done());
                break;
            case AgentAction.Protect protect:
                keeper?.Process.Soon(() => Protect(keeper, new Member(protect.Target.Host, protect.Target.Incarnation)));
                DoneWhen(() => true);
                break;
            case AgentAction.Unprotect:
                keeper?.Process.Soon(keeper.Unprotect);
                DoneWhen(() => keeper is not { Process.IsAlive: true, State.Phase: not (PairPhase.Alone or PairPhase.Gone) });
                break;
            case AgentAction.Disclaim disclaim:
                var role = disclaim.Role;
                var next = new Role(
                    role.Term + 1, RoleState.Running, role.Primary, null, $"{_world.NewIncarnation(_host.Id)}-agent", $"the standby on {_host.Id} is dead");
                _world.Calls.Swap(Process, next, disclaim.Revision, _ => Done());
                break;
            case AgentAction.TellFailed failed:
                var endpoint = new StandbyEndpoint(_host.Id, _world.NewIncarnation(_host.Id), failed.Attempt, "", 0, StandbyState.Failed, failed.Why);
                var lease = _lease;
                _world.Calls.Put(
                    Process, () => _world.Store.EndpointRevision(_host.Id), at => _world.Store.PutEndpoint(endpoint, lease, at), DoneOrFailed, _ => DoneOrFailed(false));
                break;
            default:
                throw new InvalidOperationException($"no such action: {action}");
        }
    }

    private void StartKeeper(AgentAction.StartKeeper start, SimulatedKeeper? keeper)
    {
        if (keeper is null)
        {
            _host.Attempt = start.Attempt;
            var began = new SimulatedKeeper(_world, _host, start.Start, _lease, start.Attempt);
            _host.Keeper = began;
            _world.Keepers[began.Me.Incarnation] = began;
        }
        Process.After(PollMs, Done);
    }

    /// <summary>A stop by force, of a VM whose keeper here is dead.</summary>
    public void ClearByForce() => Clear(_host.Keeper is { Process.IsAlive: true } alive ? alive : null);

    private void Clear(SimulatedKeeper? keeper)
    {
        if (keeper is null)
        {
            _world.Checker.LastCopy.IsCleared();
            _host.Record?.Process.Kill();
            (_host.Record, _host.Attempt, _host.LastWords) = (null, null, "");
        }
    }

    private void Protect(SimulatedKeeper keeper, Member standby)
    {
        if (keeper.Protect(standby) is { } refusal)
        {
            _memory = _memory with { Note = refusal };
        }
    }

    private void DoneWhen(Func<bool> done, double withinMs = AskWithinMs) => Process.After(PollMs, () =>
    {
        if (done() || withinMs <= 0)
        {
            Done();
        }
        else
        {
            DoneWhen(done, withinMs - PollMs);
        }
    });
}
