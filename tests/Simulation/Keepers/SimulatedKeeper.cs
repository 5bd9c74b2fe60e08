using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;

namespace Pollux.Simulation.Keepers;

/// <summary>
/// Mirrors KeeperProcess and PairLoop around the real <see cref="PairMachine"/>: events come in from everywhere, one at a time is decided, and
/// its effects are carried out in order. A fault may strike before each of them.
/// </summary>
internal sealed partial class SimulatedKeeper
{
    private const double TakeoverPatienceMs = 2_000;
    private static readonly Epoch FirstHeldEpoch = new(1);
    private readonly World _world;
    private readonly SimulatedThread _pair;
    private readonly SimulatedRoles _roles;
    private readonly Queue<(PairEvent Event, object? From)> _events = new();
    private readonly Queue<PairEffect> _effects = new();
    private readonly long _lease;
    private readonly long _attempt;
    private SimulatedQemu? _orphan;
    private SimulatedSession? _session;
    private int _overdueAsked;
    private bool _isPumping;
    private bool _isUp;
    private bool _isStopWanted;
    private bool _hasTakenOver;
    private bool _isLeaving;

    public SimulatedKeeper(World world, SimulatedHost host, KeeperStart start, long lease, long attempt)
    {
        (_world, Start, _lease, _attempt) = (world, start, lease, attempt);
        Process = host.NewProcess("keeper");
        Me = new Member(host.Id, world.NewIncarnation(host.Id));
        State = start switch
        {
            KeeperStart.Standby => PairState.ForStandby(Me),
            KeeperStart.Destination => PairState.ForDestination(Me),
            _ => PairState.ForPrimary(Me, adopting: start == KeeperStart.Adopt),
        };
        _pair = Process.NewThread();
        _roles = new SimulatedRoles(world, Process, e => Post(e));
        Process.Died += () => Qemu?.LoseKeeper();
        _orphan = start == KeeperStart.Adopt && host.Record is { IsAlive: true } alive ? alive : null;
        if (_orphan is null)
        {
            host.Record?.Process.Kill();
            host.Record = null;
        }
        // Reads its files, opens and warms its connections to the store.
        Process.After(50 + (world.Random.NextDouble() * 150) + (world.Calls.IsReachable(host.Id) ? 0 : 4_000), Begin);
    }

    public SimulatedProcess Process { get; }
    public Member Me { get; }
    public KeeperStart Start { get; }
    public PairState State { get; private set; }
    public SimulatedQemu? Qemu { get; private set; }
    public EgressGate? Egress { get; private set; }
    public SimulatedStandby? Standby { get; private set; }

    /// <summary>Its frames leave as they come.</summary>
    public bool Passes { get; private set; }

    /// <summary>The highest epoch that this standby ever promised to keep.</summary>
    public Epoch Promised { get; private set; } = Epoch.None;

    /// <summary>QEMU will not take the state that it is given.</summary>
    public bool RefusesState { get; set; }

    /// <param name="from">Who reports it, if that may be over by the time it is heard.</param>
    public void Post(PairEvent e, object? from = null)
    {
        _events.Enqueue((e, from));
        Pump();
    }

    private void Begin()
    {
        _isUp = true;
        if (Start == KeeperStart.Standby)
        {
            BecomeStandby();
            return;
        }
        if (Start == KeeperStart.Destination)
        {
            BecomeDestination();
            return;
        }
        Post(new PairEvent.Started());
        if (Start == KeeperStart.Adopt)
        {
            SayWhenOverdue();
        }
    }

    private void Pump()
    {
        if (!_isPumping)
        {
            _isPumping = true;
            _pair.Soon(Next);
        }
    }

    private void Next()
    {
        _isPumping = false;
        if (_effects.TryPeek(out var effect))
        {
            _world.Faults.Before(this, effect);
            if (Process.IsAlive && !Process.IsFrozen)
            {
                _effects.Dequeue();
                Say(effect);
                Do(effect);
            }
        }
        else if (_events.TryDequeue(out var next) && (next.From is null || ReferenceEquals(next.From, _session) || ReferenceEquals(next.From, _moving)))
        {
            Hear(next.Event);
        }
        if (_effects.Count > 0 || _events.Count > 0)
        {
            Pump();
        }
    }

    private void Hear(PairEvent e)
    {
        if (e is PairEvent.WasLate)
        {
            _session?.LatenessHeard();
        }
        var before = State;
        var (after, effects) = PairMachine.Step(before, e);
        State = after;
        Say(before, e);
        foreach (var effect in effects)
        {
            _effects.Enqueue(effect);
        }
        if (before.Phase != after.Phase)
        {
            Moved(before, after, e);
        }
    }

    private void Say(PairState before, PairEvent e)
    {
        if (_world.Trace is { } trace)
        {
            var line = $"{Me} {before.Phase} --{e}--> {State.Phase}";
            if (before.Phase == State.Phase && e is PairEvent.EpochWhole or PairEvent.Acknowledged)
            {
                trace.SayRoutine(line);
            }
            else
            {
                trace.Say(line);
            }
        }
    }

    private void Say(PairEffect effect)
    {
        if (effect is PairEffect.Acknowledge or PairEffect.Release)
        {
            _world.Trace?.SayRoutine($"{Me} does {effect}");
        }
        else
        {
            _world.Trace?.Say($"{Me} does {effect}");
        }
    }

    /// <summary>When it last knew, by the store or by an acknowledgement of what it had cut since, that the role was still its own. The world's ms.</summary>
    public double KnewTheRoleAtMs { get; private set; }

    private void Moved(PairState before, PairState after, PairEvent because)
    {
        _world.Coverage.Moved(before, after, because, _world.Store.HasQuorum);
        // Verifying ends by a read of the role, or by such an acknowledgement: in GoingSolo, when the other side was lost meanwhile.
        if (because is PairEvent.RoleRead or PairEvent.SwapWon || (before.Phase == PairPhase.Verifying && after.Phase is (PairPhase.Protected or PairPhase.GoingSolo)))
        {
            KnewTheRoleAtMs = _world.Time.NowMs;
        }
        NoteMove(before, after);
        _hasTakenOver |= before.Phase == PairPhase.Confirming && after.Phase == PairPhase.Alone;
        if (_isStopWanted && after.Phase is PairPhase.Alone or PairPhase.Protected)
        {
            Post(new PairEvent.StopRequested());
        }
        if (after.Phase == PairPhase.Standing)
        {
            _world.Checker.LastCopy.Stands(this);
        }
        _world.Faults.Entered(this, after.Phase);
    }

    private void Do(PairEffect effect)
    {
        switch (effect)
        {
            case PairEffect.ReadRole read: _roles.Read(read.Again, State.Question); break;
            case PairEffect.SwapRole { Again: false } swap when swap.Swap.Next is { State: RoleState.Running } next && next.Primary == Me && IsGuestDying():
                Post(new PairEvent.SwapUnsent(swap.Swap.Next.Nonce, "its QEMU has died"));
                break;
            case PairEffect.SwapRole swap: _roles.Swap(swap.Swap, swap.Again); break;
            case PairEffect.WatchRole:
                _roles.Watch(() => State.Phase is PairPhase.Frozen or PairPhase.HandedOff or PairPhase.Yielding);
                SayWhenOverdue();
                break;
            case PairEffect.StartGuest start: Process.Soon(() => StartGuest(start.Adopt)); break;
            case PairEffect.StopGuest: Qemu?.Process.Kill(); break;
            case PairEffect.OpenNetwork: OpenNetwork(); break;
            case PairEffect.Leave leave: Leave(leave.Why); break;
            case var _ when DoForMove(effect): break;
            case PairEffect.BeginCheckpointing begin:
                _session = new SimulatedSession(_world, this, begin.Standby);
                _session.Begin();
                break;
            case PairEffect.EndCheckpointing end:
                _session?.End(end.Why);
                _session = null;
                break;
            case PairEffect.HoldEgress:
                Passes = false;
                Egress!.Hold(FirstHeldEpoch);
                break;
            case PairEffect.ResumeFromCut: _session?.ResumeFromCut(); break;
            case PairEffect.CloseGate: _session?.CloseGate(); break;
            case PairEffect.OpenGate: _session?.OpenGate(); break;
            case PairEffect.CutFinal: _session?.CutFinal(); break;
            case PairEffect.Release when _session is { MayRelease: false }: _world.Coverage.Add(Seen.ReleaseWithheldAfterAGap); break;
            case PairEffect.Release release:
                _world.Checker.Releases(this, release.UpTo, _session);
                Egress?.Release(release.UpTo, static () => true); // no time passes between two frames
                break;
            case PairEffect.ReleaseAll: Pass(); break;
            case PairEffect.TellProtected: _session?.Tell(new PairEvent.ProtectionTold()); break;
            case PairEffect.TellPrimaryDown down: _session?.TellDown(down.Why); break;
            case PairEffect.TellTakeNow: _session?.Tell(new PairEvent.TakeNow()); break;
            case PairEffect.TellDismiss dismiss:
                _session?.Tell(new PairEvent.Dismissed(dismiss.Why));
                Standby?.Dismiss(dismiss.Why);
                break;
            case PairEffect.Acknowledge acknowledge:
                Promised = acknowledge.UpTo;
                Standby!.Acknowledge(acknowledge.UpTo);
                break;
            case PairEffect.Rehearse: Rehearse(); break;
            case PairEffect.Load load: Load(load.Epoch); break;
            default: throw new InvalidOperationException($"no such effect: {effect}");
        }
    }

    private void BecomeStandby()
    {
        TellEndpoint(StandbyState.Preparing, null, () =>
        {
            var qemu = NewQemu(null);
            Process.After(100 + (_world.Random.NextDouble() * 400), () =>
            {
                if (!qemu.IsAlive)
                {
                    CannotStandBy("QEMU ended");
                    return;
                }
                Standby = new SimulatedStandby(_world, this);
                Standby.Listen();
                Attach(qemu);
                TellEndpoint(StandbyState.Ready, null, () => Post(new PairEvent.Started()), CannotStandBy);
            });
        }, CannotStandBy);
    }

    private void CannotStandBy(string why)
    {
        Post(new PairEvent.SentAway(why));
        Post(new PairEvent.Started());
    }

    private void TellEndpoint(StandbyState state, string? why, Action told, Action<string> failed)
    {
        var endpoint = new StandbyEndpoint(Me.Host, Me.Incarnation, _attempt, "", 1, state, why);
        _world.Calls.Put(Process, () => _world.Store.EndpointRevision(Me.Host), at =>
        {
            if (state == StandbyState.Ready)
            {
                _world.Faults.BeforeOffer(this);
            }
            return _world.Store.PutEndpoint(endpoint, _lease, at);
        }, put =>
        {
            if (put)
            {
                told();
            }
            else
            {
                failed($"the lease {_lease} is gone");
            }
        }, failed);
    }

    private void Rehearse()
    {
        Process.After(5 + (_world.Random.NextDouble() * 30), () =>
            Post(_world.Faults.RehearsalFails() ? new PairEvent.RehearsalFailed("QEMU refuses the state") : new PairEvent.Rehearsed()));
    }

    private void Load(Epoch epoch) => Standby!.Seal(epoch, atEpoch => Process.After(5 + (_world.Random.NextDouble() * 40), () =>
    {
        _world.Checker.Loads(this, epoch, atEpoch);
        if (RefusesState || !Qemu!.IsAlive)
        {
            Post(new PairEvent.LoadFailed("QEMU refuses the state"));
            return;
        }
        Qemu.RunGuest(atEpoch);
        _unheard = Standby!.SaidUpTo(epoch);
        Post(new PairEvent.Loaded());
    }));

    private void OpenNetwork()
    {
        Pass(_unheard);
        Process.Soon(() =>
        {
            CloseStandby();
            ForgetEndpoint();
        });
    }

    private void SayWhenOverdue() => SayWhenOverdue(++_overdueAsked);

    private void SayWhenOverdue(int asked) => Process.AfterWatched(TakeoverPatienceMs, () =>
    {
        if (asked != _overdueAsked)
        {
            return;
        }
        Post(new PairEvent.TakeoverOverdue());
        if (State.Phase is PairPhase.Frozen or PairPhase.HandedOff or PairPhase.Yielding or PairPhase.Claiming && !_isLeaving)
        {
            SayWhenOverdue(asked);
        }
    });
}
