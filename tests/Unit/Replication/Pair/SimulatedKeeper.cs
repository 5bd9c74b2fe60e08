using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>What a primary tells its standby about a checkpoint: the guest as it was at the cut.</summary>
internal sealed record ShippedEpoch(Epoch Epoch, IReadOnlyList<int> History);

/// <summary>A connection of a pair: messages arrive in order until it breaks, then each side hears of the break.</summary>
internal sealed class SimulatedLink
{
    public Queue<object> ToStandby { get; } = new();
    public Queue<object> ToPrimary { get; } = new();
    public bool IsBroken { get; private set; }

    /// <summary>The highest epoch that the standby ever acknowledged on it.</summary>
    public Epoch Acknowledged { get; set; } = Epoch.None;

    /// <summary>What was sent last may be lost.</summary>
    public void Break(Random random)
    {
        IsBroken = true;
        Truncate(ToStandby, random.Next(ToStandby.Count + 1));
        Truncate(ToPrimary, random.Next(ToPrimary.Count + 1));
    }

    /// <summary>What was sent arrives.</summary>
    public void Close() => IsBroken = true;

    private static void Truncate(Queue<object> queue, int keep)
    {
        var kept = queue.Take(keep).ToList();
        queue.Clear();
        kept.ForEach(queue.Enqueue);
    }
}

/// <summary>A keeper of the walk: the real state machine, and an edge that only notes what is under way.</summary>
internal sealed class SimulatedKeeper(PairState initial)
{
    public PairState State { get; set; } = initial;
    public SimulatedGuest? Guest { get; set; }
    public SimulatedLink? Link { get; set; }

    /// <summary>Reads, swaps, rehearsals and loads whose outcome is open.</summary>
    public List<PairEffect> UnderWay { get; } = [];

    /// <summary>Standby: the checkpoints that arrived whole.</summary>
    public Dictionary<Epoch, ShippedEpoch> Whole { get; } = [];

    /// <summary>Its guest, or the QEMU that waits for one, has died.</summary>
    public bool QemuIsDead { get; set; }
    public bool IsCheckpointing { get; set; }
    public bool FirstIsCut { get; set; }
    public bool GateIsClosed { get; set; }
    public bool FinalWanted { get; set; }
    public bool Watches { get; set; }
    public bool IsGone => State.Phase == PairPhase.Gone;
    public bool IsStandby => State.IsStandby;
}
