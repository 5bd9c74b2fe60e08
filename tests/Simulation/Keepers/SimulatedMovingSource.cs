using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>The guest's whole state, as QEMU wrote it: the last of the stream.</summary>
internal sealed record GuestState(SimulatedQemu From, History Guest);

/// <summary>A part of the guest's memory.</summary>
internal sealed record GuestPages;

/// <summary>Mirrors MovingSource and OutgoingMigration. Each pause of <see cref="Move"/> is a point at which a fault may strike.</summary>
internal sealed class SimulatedMovingSource
{
    private const double ConnectWithinMs = 5_000;
    private const long PieceBytes = 1 << 20;
    private static readonly GuestPages Pages = new();
    private readonly World _world;
    private readonly SimulatedKeeper _keeper;
    private readonly SimulatedProcess _process;
    private readonly SimulatedQemu _qemu;
    private readonly Member _destination;
    private readonly SimulatedThread _thread;
    private SimulatedMoveControl? _control;
    private ConnectionEnd? _data;
    private string? _broken;
    private bool _complete;
    private bool _hasBegun;
    private bool _isEnded;

    public SimulatedMovingSource(World world, SimulatedKeeper keeper, Member destination)
    {
        (_world, _keeper, _process, _qemu, _destination) = (world, keeper, keeper.Process, keeper.Qemu!, destination);
        _thread = _process.NewThread();
    }

    public void Begin() => _thread.Run(Move());

    /// <summary>The guest is stopped; the rest may go.</summary>
    public void Complete()
    {
        _complete = true;
        _thread.Poke();
    }

    public void TellHandOver(Role role, long revision)
    {
        _qemu.Moves = true;
        _world.Checker.HandsOver(_qemu, revision);
        _control?.Tell(new PairEvent.HandedOver(role, revision));
    }

    public void Dismiss(string why) => _control?.Tell(new PairEvent.Dismissed(why));

    /// <summary>Nothing of it stays in QEMU, and the guest runs on.</summary>
    /// <param name="done">When that is so.</param>
    public void End(string why, Action done)
    {
        _isEnded = true;
        Dismiss(why);
        _thread.Poke();
        _process.After(0.2 + (_world.Random.NextDouble() * 5), () =>
        {
            if (_hasBegun)
            {
                _qemu.EndMigration();
            }
            Await(done);
        });
    }

    /// <summary>QEMU is being killed: nothing is undone.</summary>
    public void Close()
    {
        _isEnded = true;
        _thread.Poke();
        _control?.Close();
        _data?.Close();
    }

    private void Await(Action done)
    {
        if (_qemu.IsAlive && _hasBegun && _qemu.IsMigrating)
        {
            _process.After(20, () => Await(done));
            return;
        }
        Close();
        done();
    }

    private bool IsOver => _isEnded || _broken is not null || !_qemu.IsAlive;

    private IEnumerable<Pause> Move()
    {
        var control = new Dialed();
        Dial(isControl: true, control);
        yield return Pause.UntilTrue(() => control.IsDecided);
        if (Refused(control))
        {
            yield break;
        }
        _control = new SimulatedMoveControl(_process, control.End!, message => Report((PairEvent)message), why => Report(new PairEvent.LinkDown(why)));
        var data = new Dialed();
        Dial(isControl: false, data);
        yield return Pause.UntilTrue(() => data.IsDecided);
        if (Refused(data))
        {
            yield break;
        }
        Use(data.End!);
        yield return Pause.For(1 + (_world.Random.NextDouble() * 5));
        if (!IsOver)
        {
            _hasBegun = true;
            _qemu.MigrationMoved = _thread.Poke;
            _qemu.BeginMigration();
        }
        foreach (var pause in IsOver ? [] : Iterate())
        {
            yield return pause;
        }
        foreach (var pause in IsOver ? [] : SwitchOver())
        {
            yield return pause;
        }
        if (IsOver && !_isEnded)
        {
            Report(new PairEvent.MigrationFailed(_broken ?? "QEMU died"));
        }
    }

    /// <summary>All memory once, then what was changed, for as long as the policy likes.</summary>
    private IEnumerable<Pause> Iterate()
    {
        for (var left = _world.Settings.RamBytes; left > 0 && !IsOver; left -= PieceBytes)
        {
            _data!.Send(Pages, PieceBytes);
            yield return Pause.UntilTrue(() => IsOver || _data.HasRoom);
        }
        var looks = _world.Random.Next(4) == 0 ? 0 : _world.Random.NextDouble() * 1_500;
        yield return Pause.UntilTrue(() => IsOver, looks);
        if (!IsOver && _world.Random.Next(12) == 0)
        {
            _broken = "the policy gave up";
        }
    }

    private IEnumerable<Pause> SwitchOver()
    {
        _qemu.SwitchOver();
        yield return Pause.UntilTrue(() => IsOver || _qemu.Migration == QemuMigration.PreSwitchover);
        if (IsOver)
        {
            yield break;
        }
        yield return Pause.For(0.1 + _world.Random.NextDouble());
        _keeper.DrainEgress();
        Report(new PairEvent.SwitchoverReached());
        yield return Pause.UntilTrue(() => IsOver || _complete);
        if (IsOver)
        {
            yield break;
        }
        _qemu.CompleteMigration();
        yield return Pause.UntilTrue(() => IsOver || _qemu.Migration is QemuMigration.Completed or QemuMigration.None);
        if (IsOver)
        {
            yield break;
        }
        if (_qemu.Migration == QemuMigration.None)
        {
            _broken = "QEMU's migration failed";
            yield break;
        }
        _data!.Send(new GuestState(_qemu, _qemu.Guest!), 1 + _world.Random.NextInt64(PieceBytes));
        yield return Pause.For(0.1 + _world.Random.NextDouble());
        if (!_isEnded)
        {
            Report(new PairEvent.StreamSent());
        }
        // From here on only the role counts, not the stream.
        _data.Ended = _ => { };
    }

    private bool Refused(Dialed dialed)
    {
        if (_isEnded)
        {
            dialed.End?.Close();
            return true;
        }
        if (dialed.End is null)
        {
            Report(new PairEvent.MigrationFailed(dialed.Why));
            return true;
        }
        return false;
    }

    private void Use(ConnectionEnd data)
    {
        _data = data;
        data.Drained = _thread.Poke;
        data.Ended = why =>
        {
            _broken ??= $"the stream's link is down: {why}";
            _thread.Poke();
        };
    }

    private void Dial(bool isControl, Dialed dialed)
    {
        var there = _world.Host(_destination.Host);
        _process.After(ConnectWithinMs, () => Decide(dialed, null, "it does not answer within 5 s"));
        _process.After(_world.Network.LatencyMs(), () =>
        {
            if (!_world.Network.PassesBothWays(_process.Host, there))
            {
                return;
            }
            if (there.Keeper is not { Process.IsAlive: true, Arrival: { IsListening: true } arrival } keeper)
            {
                Decide(dialed, null, "connection refused");
                return;
            }
            keeper.Process.After(2 + (_world.Random.NextDouble() * 10), () => Handshake(keeper, arrival, isControl, dialed));
        });
    }

    /// <summary>On the destination's side; the answer may not reach the dialer any more.</summary>
    private void Handshake(SimulatedKeeper keeper, SimulatedArrival arrival, bool isControl, Dialed dialed)
    {
        if (!_process.IsAlive || !_world.Network.PassesBothWays(_process.Host, keeper.Process.Host))
        {
            return;
        }
        if (arrival.Objection(_keeper.Me, _destination, isControl) is { } why)
        {
            _process.Soon(() => Decide(dialed, null, why));
            return;
        }
        var connection = _world.Network.Open(_process, keeper.Process, isHeartbeat: isControl);
        arrival.Admit(_keeper.Me, connection.Listener, isControl);
        _process.After(_world.Network.LatencyMs(), () => Decide(dialed, connection.Dialer, ""));
    }

    private void Decide(Dialed dialed, ConnectionEnd? end, string why)
    {
        if (dialed.IsDecided)
        {
            end?.Close();
            return;
        }
        (dialed.End, dialed.Why, dialed.IsDecided) = (end, why, true);
        _thread.Poke();
    }

    /// <summary>Nothing is reported after the end, so that no word of an old migration reaches a new one.</summary>
    private void Report(PairEvent e)
    {
        if (!_isEnded)
        {
            _keeper.Post(e, from: this);
        }
    }

    private sealed class Dialed
    {
        public ConnectionEnd? End { get; set; }
        public string Why { get; set; } = "";
        public bool IsDecided { get; set; }
    }
}
