using Pollux.Core;
using Pollux.Simulation.Agents;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Keepers;
using Pollux.Simulation.Time;

namespace Pollux.Simulation.Hosts;

/// <summary>A host: power, a clock of its own that runs a little fast or slow, processes, and what its tmpfs holds of the VM.</summary>
internal sealed class SimulatedHost
{
    private readonly Random _random;

    public SimulatedHost(VirtualTime time, Random random, HostId id)
    {
        (Time, _random, Id) = (time, random, id);
        Rate = 1 + ((random.NextDouble() - 0.5) * 0.02);
        _offset = random.NextDouble() * 1e6;
    }

    private readonly double _offset;

    public VirtualTime Time { get; }
    public HostId Id { get; }

    /// <summary>This host's milliseconds per millisecond of the world: within 1 %.</summary>
    public double Rate { get; }

    /// <summary>Monotonic, in this host's own milliseconds; runs on while the host's processes are frozen.</summary>
    public double NowMs => _offset + (Time.NowMs * Rate);

    public bool IsOn { get; private set; } = true;
    public bool IsFrozen { get; private set; }

    /// <summary>A busy host: everything starts late.</summary>
    public double BusyMs { get; set; }

    /// <summary>Grows with every power-off, so that what belongs to an earlier boot is told apart.</summary>
    public int Boot { get; private set; }

    public List<SimulatedProcess> Processes { get; } = [];

    public SimulatedAgent? Agent { get; set; }

    /// <summary>Who holds the lock of the VM's run directory.</summary>
    public SimulatedKeeper? Keeper { get; set; }

    /// <summary>The QEMU that the run directory's record names, dead or alive; null when there is none.</summary>
    public SimulatedQemu? Record { get; set; }

    /// <summary>The attempt in <c>keeper.json</c>; null: there is no run directory.</summary>
    public long? Attempt { get; set; }
    public string LastWords { get; set; } = "";

    public SimulatedProcess NewProcess(string name)
    {
        var process = new SimulatedProcess(this, name);
        Processes.Add(process);
        return process;
    }

    /// <summary>How long it takes until something runs that could run now, ms.</summary>
    public double Jitter()
    {
        var usual = 0.01 + (_random.NextDouble() * 0.1);
        return BusyMs > 0 && _random.Next(4) == 0 ? usual + (_random.NextDouble() * BusyMs) : usual;
    }

    public void Freeze()
    {
        Processes.ForEach(p => p.NoteFrozen());
        IsFrozen = true;
    }

    public void Thaw()
    {
        IsFrozen = false;
        Processes.ForEach(p => p.RunAgain());
    }

    /// <summary>Nothing of it says a last word; its tmpfs is gone.</summary>
    public void PowerOff()
    {
        (IsOn, IsFrozen, Boot) = (false, false, Boot + 1);
        foreach (var process in Processes.ToList())
        {
            process.Kill();
        }
        (Agent, Keeper, Record, Attempt, LastWords, BusyMs) = (null, null, null, null, "", 0);
    }

    public void PowerOn() => IsOn = true;
}
