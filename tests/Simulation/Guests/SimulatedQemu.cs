using Pollux.Simulation.Hosts;

namespace Pollux.Simulation.Guests;

/// <summary>
/// A QEMU with its guest, as far as a keeper sees it: the guest goes on by steps and sends a frame at each; checkpoints stop it until LOADED
/// comes. It is a process of its own and outlives its keeper.
/// </summary>
internal sealed partial class SimulatedQemu
{
    private readonly Random _random;
    private readonly SimulatedThread _cpu;
    private readonly double _stepMs;
    private bool _stepping;
    private bool _requestKept;

    public SimulatedQemu(SimulatedHost host, Random random, History? guest, double stepMs)
    {
        (_random, _stepMs) = (random, stepMs);
        Process = host.NewProcess("qemu");
        _cpu = Process.NewThread();
        Guest = guest;
    }

    public SimulatedProcess Process { get; }

    /// <summary>The guest's present; null while it waits for a state.</summary>
    public History? Guest { get; private set; }
    public bool GuestRuns { get; private set; }
    public bool IsAlive => Process.IsAlive;

    /// <summary>The guest runs from now on: for whoever judges.</summary>
    public Action<SimulatedQemu>? Runs { get; init; }

    /// <summary>In the run directory's record: its guest is on the way here, or was handed over.</summary>
    public bool Moves { get; set; }

    /// <summary>It is, or was last, one of a pair whose frames are held: another copy may run beside it, for nothing of it is seen.</summary>
    public bool IsHeld { get; set; }

    /// <summary>What was sent and is not read by the keeper yet: the NIC's socket.</summary>
    public Queue<History> Sent { get; } = new();

    /// <summary>The keeper's end of the NIC's socket.</summary>
    public Action? FrameSent { get; set; }

    /// <summary>Checkpoints are under way (COLO).</summary>
    public bool IsCheckpointing { get; private set; }

    /// <summary>QEMU wants to cut and waits for the answer.</summary>
    public bool WantsCut { get; private set; }

    /// <summary>Something that the checkpoint thread waits for has changed.</summary>
    public Action? ChannelMoved { get; set; }

    /// <summary>QEMU's own timer.</summary>
    public double IntervalMs { get; set; } = 100;
    private long _resumes;

    /// <summary>Begins, or goes on with a loaded state.</summary>
    public void RunGuest(History? loaded = null)
    {
        (Guest, IsHeld) = (loaded ?? Guest, IsHeld || loaded is not null);
        Resume();
    }

    public void BeginCheckpoints() => (IsCheckpointing, IsHeld, WantsCut, _requestKept) = (true, true, false, false);

    /// <summary>Stops the guest for a cut; what it has gone through until now is in the checkpoint.</summary>
    public History Cut()
    {
        (GuestRuns, WantsCut) = (false, false);
        return Guest!;
    }

    /// <summary>LOADED: the guest runs on until the next cut.</summary>
    public void Loaded()
    {
        Resume();
        var resume = ++_resumes;
        Process.After(IntervalMs, () =>
        {
            if (resume == _resumes)
            {
                Request();
            }
        });
        if (_requestKept)
        {
            _requestKept = false;
            Request();
        }
    }

    /// <summary>Asked by the keeper; what comes inside a checkpoint may be lost.</summary>
    public void Trigger() => Process.Soon(() =>
    {
        if (GuestRuns)
        {
            Request();
        }
        else if (IsCheckpointing)
        {
            _requestKept = _random.Next(2) == 0;
        }
    });

    /// <summary>x-colo-lost-heartbeat: no checkpoint any more, and the guest runs on.</summary>
    public void EndCheckpoints()
    {
        (IsCheckpointing, WantsCut) = (false, false);
        _resumes++;
        if (Guest is not null)
        {
            Resume();
        }
        ChannelMoved?.Invoke();
    }

    /// <summary>QEMU gives up by itself. Inside a checkpoint the guest stays stopped.</summary>
    public void FailCheckpoints()
    {
        (IsCheckpointing, WantsCut) = (false, false);
        _resumes++;
        ChannelMoved?.Invoke();
    }

    /// <summary>The keeper's end of everything is closed.</summary>
    public void LoseKeeper()
    {
        (FrameSent, ChannelMoved) = (null, null);
        Sent.Clear();
        LoseMigration();
        if (IsCheckpointing)
        {
            // Between two checkpoints QEMU finds out at the next one; inside, the guest is stopped already.
            IsCheckpointing = false;
            _resumes++;
            GuestRuns &= _random.Next(2) == 0;
        }
    }

    private void Request()
    {
        if (IsCheckpointing && GuestRuns && !WantsCut)
        {
            WantsCut = true;
            ChannelMoved?.Invoke();
        }
    }

    private void Resume()
    {
        if (!GuestRuns && IsAlive)
        {
            GuestRuns = true;
            Runs?.Invoke(this);
        }
        if (!_stepping)
        {
            _stepping = true;
            _cpu.After(_random.NextDouble() * _stepMs, Step);
        }
    }

    private void Step()
    {
        if (!GuestRuns)
        {
            _stepping = false;
            return;
        }
        Guest = Guest!.Next();
        if (FrameSent is { } read)
        {
            Sent.Enqueue(Guest);
            read();
        }
        // Frames come in bursts.
        _cpu.After(_random.Next(3) == 0 ? _random.NextDouble() : _random.NextDouble() * 2 * _stepMs, Step);
    }
}
