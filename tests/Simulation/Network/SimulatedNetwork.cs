using Pollux.Simulation.Hosts;
using Pollux.Simulation.Time;

namespace Pollux.Simulation.Network;

/// <summary>The cluster's network: what reaches whom, how fast, and the connections over it.</summary>
internal sealed class SimulatedNetwork(VirtualTime time, Random random)
{
    private const double UsualBytesPerMs = 1_000_000 / 8.0 * 10; // 10 Gbit/s
    private readonly HashSet<(SimulatedHost, SimulatedHost)> _cuts = [];
    private readonly Dictionary<(SimulatedHost, SimulatedHost), double> _slow = [];
    private readonly List<SimulatedConnection> _connections = [];

    public VirtualTime Time => time;
    public Random Random => random;

    public bool Passes(SimulatedHost from, SimulatedHost to) => from.IsOn && to.IsOn && !_cuts.Contains((from, to));

    public bool PassesBothWays(SimulatedHost a, SimulatedHost b) => Passes(a, b) && Passes(b, a);

    public double BytesPerMs(SimulatedHost from, SimulatedHost to) => _slow.GetValueOrDefault((from, to), UsualBytesPerMs);

    public double LatencyMs() => 0.05 + (random.NextDouble() * 0.15);

    public void Cut(SimulatedHost from, SimulatedHost to)
    {
        _cuts.Add((from, to));
        foreach (var connection in _connections)
        {
            connection.BeginCut(from);
        }
    }

    public void Heal(SimulatedHost from, SimulatedHost to)
    {
        if (_cuts.Remove((from, to)))
        {
            // The next retransmission finds the way open.
            time.After(random.NextDouble() * 400, MoveAll);
        }
    }

    public void Slow(SimulatedHost from, SimulatedHost to, double bytesPerMs) => _slow[(from, to)] = bytesPerMs;
    public void Quicken(SimulatedHost from, SimulatedHost to) => _slow.Remove((from, to));

    /// <summary>Breaks connections, as a firewall that forgets them would: all, or those for heartbeats alone.</summary>
    public void Break(bool heartbeatsOnly)
    {
        foreach (var connection in _connections.Where(c => c.IsHeartbeat || !heartbeatsOnly).ToList())
        {
            connection.Break();
        }
    }

    public void PowerOff(SimulatedHost host)
    {
        foreach (var connection in _connections)
        {
            connection.PowerOff(host);
        }
    }

    public void MoveAll()
    {
        _connections.RemoveAll(c => c.IsOver);
        foreach (var connection in _connections.ToList())
        {
            connection.Move();
        }
    }

    public SimulatedConnection Open(SimulatedProcess dialer, SimulatedProcess listener, bool isHeartbeat)
    {
        _connections.RemoveAll(c => c.IsOver);
        var connection = new SimulatedConnection(this, dialer, listener) { IsHeartbeat = isHeartbeat };
        _connections.Add(connection);
        return connection;
    }
}
