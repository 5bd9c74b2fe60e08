using Pollux.Replication.Pair;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>Mirrors PeerConnector: first the data connection, then the one for heartbeats; both sides have a say.</summary>
internal sealed class SimulatedDialing
{
    private const double AgainAfterMs = 1_000;
    private readonly World _world;
    private readonly SimulatedProcess _process;
    private readonly Member _me;
    private readonly Member _standby;
    private readonly Action _decided;
    private bool _isOver;

    public SimulatedDialing(World world, SimulatedProcess process, Member me, Member standby, Action decided)
    {
        (_world, _process, _me, _standby, _decided) = (world, process, me, standby, decided);
        Dial(isHeartbeat: false);
    }

    public ConnectionEnd? Data { get; private set; }
    public ConnectionEnd? Heartbeat { get; private set; }
    public string? Refusal { get; private set; }
    public bool Connected => Data is not null && Heartbeat is not null;
    public bool IsDecided => Connected || Refusal is not null;

    public void GiveUp()
    {
        _isOver = true;
        Data?.Close();
        Heartbeat?.Close();
    }

    private void Dial(bool isHeartbeat)
    {
        var there = _world.Host(_standby.Host);
        _process.After(_world.Network.LatencyMs(), () =>
        {
            if (_isOver)
            {
                return;
            }
            if (!_world.Network.PassesBothWays(_process.Host, there))
            {
                _process.After(AgainAfterMs, () => Dial(isHeartbeat));
            }
            else if (there.Keeper is not { Process.IsAlive: true, Standby: { IsListening: true } service } keeper)
            {
                Refuse("connection refused");
            }
            else
            {
                keeper.Process.After(2 + (_world.Random.NextDouble() * 10), () => Handshake(keeper, service, isHeartbeat));
            }
        });
    }

    /// <summary>On the standby's side; the answer may not reach the dialer any more.</summary>
    private void Handshake(SimulatedKeeper keeper, SimulatedStandby service, bool isHeartbeat)
    {
        if (!_process.IsAlive || _isOver || !_world.Network.PassesBothWays(_process.Host, keeper.Process.Host))
        {
            return;
        }
        if (service.Objection(_me, _standby, isHeartbeat) is { } why)
        {
            _process.Soon(() => Refuse(why));
            return;
        }
        var connection = _world.Network.Open(_process, keeper.Process, isHeartbeat);
        service.Admit(_me, connection.Listener, isHeartbeat);
        _process.After(_world.Network.LatencyMs(), () => Take(connection.Dialer, isHeartbeat));
    }

    private void Take(ConnectionEnd end, bool isHeartbeat)
    {
        if (_isOver)
        {
            end.Close();
        }
        else if (isHeartbeat)
        {
            Heartbeat = end;
            _decided();
        }
        else
        {
            Data = end;
            Dial(isHeartbeat: true);
        }
    }

    private void Refuse(string why)
    {
        Refusal ??= why;
        _decided();
    }
}
