using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Link;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>
/// Mirrors ProtectionSession and its CheckpointLoop: the checkpoint thread, the link, the acknowledgements, the heartbeats of one protection. Each pause of
/// <see cref="Checkpoints"/> is a point at which a fault may strike.
/// </summary>
internal sealed class SimulatedSession
{
    private const double ConnectWithinMs = 5_000;
    private const int MostInFlight = 2;
    private readonly World _world;
    private readonly SimulatedKeeper _keeper;
    private readonly SimulatedProcess _process;
    private readonly SimulatedQemu _qemu;
    private readonly EgressGate _egress;
    private readonly Member _standby;
    private readonly SimulatedThread _thread;
    private readonly Action _poke;
    private readonly SimulatedTrigger _trigger;
    private SimulatedLinkSender? _sender;
    private SimulatedHeartbeat? _heartbeat;
    private bool _isGateOpen = true;
    private bool _cutResume;
    private bool _finalWanted;
    private bool _isEnded;
    private bool _isDown;
    private readonly UnheardLateness _lateness = new();
    private long _poolUsed;
    private Epoch _open = Epoch.None;
    private Epoch _committed = Epoch.None;

    public SimulatedSession(World world, SimulatedKeeper keeper, Member standby)
    {
        (_world, _keeper, _process, _qemu, _egress, _standby) = (world, keeper, keeper.Process, keeper.Qemu!, keeper.Egress!, standby);
        _thread = _process.NewThread();
        _poke = _thread.Poke;
        _trigger = new SimulatedTrigger(
            _process, world.Settings.Trigger, _qemu.Trigger, () => new TriggerView(0, _egress.HeldInOpenEpoch, (int)(_open.Value - 1 - _committed.Value), world.Settings.PagesPerMs));
    }

    public Member Standby => _standby;
    public bool MayRelease => _lateness.MayRelease(() => _heartbeat is { IsLate: true });

    public void Begin() => _thread.Run(Checkpoints());

    public void ResumeFromCut()
    {
        _cutResume = true;
        _thread.Poke();
    }

    public void CloseGate()
    {
        _isGateOpen = false;
        _thread.Poke();
    }

    public void OpenGate()
    {
        _isGateOpen = true;
        _thread.Poke();
    }

    public void CutFinal()
    {
        _finalWanted = true;
        _trigger.Demand();
    }

    public void LatenessHeard() => _lateness.Heard();
    public void FrameWaits() => _trigger.Wake();
    public void Tell(object message) => _sender?.Post(message);

    public void TellDown(string why)
    {
        _isDown = true;
        Tell(new PairEvent.PrimaryDown(why));
    }

    /// <summary>Ends checkpointing at once, then takes leave of the standby.</summary>
    public void End(string why, Action? done = null)
    {
        if (_isEnded)
        {
            done?.Invoke();
            return;
        }
        _isEnded = true;
        _trigger.Dispose();
        _process.Soon(() => TakeLeave(why, done));
    }

    private void TakeLeave(string why, Action? done)
    {
        if (!_isDown)
        {
            _sender?.Post(new PairEvent.Dismissed(why));
        }
        _process.After(0.2 + (_world.Random.NextDouble() * 3), () =>
        {
            if (_qemu.IsAlive)
            {
                _qemu.EndCheckpoints();
            }
            if (_qemu.ChannelMoved == _poke)
            {
                _qemu.ChannelMoved = null;
            }
            _thread.Poke();
            _heartbeat?.Dispose();
            _sender?.FinishUrgent(_process, 500);
            done?.Invoke();
        });
    }

    private IEnumerable<Pause> Checkpoints()
    {
        var dialing = new SimulatedDialing(_world, _process, _keeper.Me, _standby, _thread.Poke);
        yield return Pause.UntilTrue(() => dialing.IsDecided, ConnectWithinMs);
        if (!dialing.Connected || _isEnded)
        {
            dialing.GiveUp();
            Report(new PairEvent.LinkDown(dialing.Refusal ?? $"{_standby.Host} does not answer within 5 s"));
            yield break;
        }
        Use(dialing.Data!, dialing.Heartbeat!);
        yield return Pause.For(1 + (_world.Random.NextDouble() * 5));
        if (_isEnded || !_qemu.IsAlive)
        {
            yield break;
        }
        _qemu.IntervalMs = _world.Settings.Trigger.IntervalMs;
        _qemu.ChannelMoved = _poke;
        _qemu.BeginCheckpoints();
        foreach (var pause in CaptureFirst())
        {
            yield return pause;
        }
        while (!_isEnded && HasChannel)
        {
            yield return Pause.UntilTrue(() => _isEnded || _qemu.WantsCut || !HasChannel);
            if (_isEnded || !HasChannel)
            {
                break;
            }
            foreach (var pause in CaptureNext())
            {
                yield return pause;
            }
        }
        if (_isEnded)
        {
            yield break;
        }
        // A dead QEMU closes the channel too: only one that answers, or is silent but there, lets the standby go.
        yield return Pause.For(_qemu.Process.IsFrozen ? 2_000 : 0.5);
        if (_qemu.IsAlive)
        {
            Report(new PairEvent.CheckpointingEnded("QEMU closed the checkpoint channel"));
        }
    }

    private bool HasChannel => _qemu is { IsAlive: true, IsCheckpointing: true };

    private void Use(ConnectionEnd data, ConnectionEnd heartbeat)
    {
        _sender = new SimulatedLinkSender(_process, data, sent =>
        {
            _poolUsed -= sent;
            _thread.Poke();
        }, _keeper.HeldOf);
        data.Received = Hear;
        data.Ended = why => Report(new PairEvent.LinkDown(why));
        _heartbeat = new SimulatedHeartbeat(_process, heartbeat, _world.Settings.HeartbeatMs, _world.Settings.DetectionMs, Judge);
        _heartbeat.Start();
    }

    private IEnumerable<Pause> CaptureFirst()
    {
        var buffer = new ShippedEpoch(new Epoch(0), _world.Settings.RamBytes);
        _poolUsed += buffer.BytesLeft;
        _sender!.Ship(buffer);
        yield return Pause.UntilTrue(() => _isEnded || !HasChannel, 20 + (_world.Random.NextDouble() * 100));
        if (_isEnded || !HasChannel)
        {
            yield break;
        }
        buffer.AtCut = _qemu.Cut();
        yield return Pause.For(0.5 + (_world.Random.NextDouble() * 5));
        if (_isEnded || !HasChannel)
        {
            yield break;
        }
        _open = new Epoch(1);
        Report(new PairEvent.FirstCut());
        yield return Pause.For(0.01);
        buffer.IsComplete = true;
        _sender.Wake();
        yield return Pause.UntilTrue(() => _isEnded || _cutResume);
        if (_isEnded)
        {
            yield break;
        }
        foreach (var pause in Resume())
        {
            yield return pause;
        }
    }

    private IEnumerable<Pause> CaptureNext()
    {
        // The link catches up before the guest is stopped, unless the gate is closed.
        var least = new Epoch(_open.Value - MostInFlight);
        yield return Pause.UntilTrue(() => _isEnded || !_isGateOpen || (_committed >= least && _poolUsed <= _world.Settings.PoolBytes / 2));
        _trigger.GuestStops();
        var epoch = _open;
        var buffer = new ShippedEpoch(epoch, _world.EpochBytes());
        var shipAtOnce = _world.Settings.Transmission == Transmission.Synchronous;
        _poolUsed += buffer.BytesLeft;
        if (shipAtOnce)
        {
            _sender!.Ship(buffer);
        }
        yield return Pause.For(0.02 + (_world.Random.NextDouble() * 0.5));
        if (_isEnded || !HasChannel)
        {
            yield break;
        }
        buffer.AtCut = _qemu.Cut();
        yield return Pause.For(0.1 + (_world.Random.NextDouble() * 3));
        if (_isEnded || !HasChannel)
        {
            yield break; // an epoch that is not whole is nobody's
        }
        _keeper.DrainEgress();
        yield return Pause.For(0.005);
        _open = epoch.Next;
        _egress.Open(_open);
        buffer.IsComplete = true;
        var isFinal = _finalWanted;
        var resumed = !shipAtOnce && !isFinal && _isGateOpen;
        if (resumed)
        {
            LetRun();
            yield return Pause.For(0.01);
        }
        if (!shipAtOnce)
        {
            _sender!.Ship(buffer);
        }
        _sender!.Wake();
        yield return Pause.For(0.005);
        if (isFinal)
        {
            Report(new PairEvent.FinalCut(epoch));
            _isGateOpen = false;
        }
        if (shipAtOnce)
        {
            yield return Pause.UntilTrue(() => _isEnded || _committed >= epoch);
        }
        if (resumed)
        {
            yield break;
        }
        foreach (var pause in Resume())
        {
            yield return pause;
        }
    }

    private IEnumerable<Pause> Resume()
    {
        yield return Pause.UntilTrue(() => _isEnded || _isGateOpen);
        LetRun();
    }

    private void LetRun()
    {
        if (!_isEnded && HasChannel)
        {
            _qemu.Loaded();
            _trigger.GuestRuns();
        }
    }

    private void Hear(object message)
    {
        if (message is PairEvent.Acknowledged { Epoch: var epoch })
        {
            _committed = epoch;
            _thread.Poke();
            _trigger.Wake();
        }
        Report((PairEvent)message);
    }

    private void Judge(SilenceVerdict verdict)
    {
        if (verdict.LateMs is { } late)
        {
            _lateness.Found();
            _world.Coverage.Add(Seen.PrimaryWasLate);
            Report(new PairEvent.WasLate(late, _open));
        }
        if (verdict.SilentMs is { } silent)
        {
            Report(new PairEvent.PeerSilent(silent));
        }
        if (verdict.HeardAgain)
        {
            Report(new PairEvent.PeerHeard());
        }
    }

    private void Report(PairEvent e)
    {
        if (!_isEnded)
        {
            _keeper.Post(e, from: this);
        }
    }
}
