using System.Globalization;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Simulation.Agents;
using Pollux.Simulation.Faults;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;
using Pollux.Simulation.Keepers;
using Pollux.Simulation.Network;
using Pollux.Simulation.Store;
using Pollux.Simulation.Time;

namespace Pollux.Simulation;

/// <summary>All there is in one life: hosts, network, store, one VM, the faults to come and the judge.</summary>
internal sealed class World : IDisposable
{
    private readonly Dictionary<HostId, SimulatedHost> _hosts = [];
    private int _incarnations;
    private int _lives;

    public World(int seed, FaultPlan plan, Trace? trace)
    {
        Random = new Random(seed);
        Settings = Settings.From(new Random(seed ^ 0x5eed));
        Trace = trace;
        if (trace is not null)
        {
            trace.NowMs = () => Time.NowMs;
        }
        for (var i = 1; i <= Settings.Hosts; i++)
        {
            var id = HostId.Create($"h{i}");
            _hosts[id] = new SimulatedHost(Time, Random, id);
        }
        Network = new SimulatedNetwork(Time, Random);
        Store = new SimulatedStore(Time, Vm) { Record = new VmRecord(Vm, "", HostId.Create("h1"), Run: true, Protect: !plan.Moves, null) };
        Calls = new StoreCalls(Time, Random, Store, Vm);
        Checker = new Checker(this);
        Faults = new FaultSchedule(this, plan);
        Store.RoleMoved = Checker.RoleMoved;
        Store.Changed = () =>
        {
            foreach (var host in Hosts)
            {
                host.Agent?.HearOfChange();
            }
        };
        foreach (var host in Hosts)
        {
            StartAgent(host);
        }
    }

    public VirtualTime Time { get; } = new();
    public VmName Vm { get; } = VmName.Create("vm");
    public Random Random { get; }
    public Settings Settings { get; }
    public Trace? Trace { get; }
    public SimulatedNetwork Network { get; }
    public SimulatedStore Store { get; }
    public StoreCalls Calls { get; }
    public Checker Checker { get; }
    public Coverage Coverage { get; } = new();
    public FaultSchedule Faults { get; }
    public IReadOnlyCollection<SimulatedHost> Hosts => _hosts.Values;

    /// <summary>Every keeper that ever lived, by its incarnation.</summary>
    public Dictionary<Incarnation, SimulatedKeeper> Keepers { get; } = [];
    public List<EgressGate> Gates { get; } = [];

    /// <summary>Every QEMU that ever lived.</summary>
    public List<SimulatedQemu> Qemus { get; } = [];

    public SimulatedHost Host(HostId id) => _hosts[id];

    public IEnumerable<SimulatedKeeper> LivingKeepers => _hosts.Values.Select(h => h.Keeper).OfType<SimulatedKeeper>().Where(k => k.Process.IsAlive);

    public Incarnation NewIncarnation(HostId host) => Incarnation.Create(string.Create(CultureInfo.InvariantCulture, $"{host}-{++_incarnations}"));

    public History NewLife() => History.Begin(++_lives);

    public long EpochBytes() => Random.Next(10) == 0 ? Random.NextInt64(Settings.PoolBytes / 4) : 4096 * (1 + Random.Next(200));

    public void StartAgent(SimulatedHost host)
    {
        if (host is { IsOn: true, Agent: not { Process.IsAlive: true } })
        {
            host.Agent = new SimulatedAgent(this, host);
        }
    }

    public void Dispose()
    {
        foreach (var gate in Gates)
        {
            gate.Dispose();
        }
    }
}
