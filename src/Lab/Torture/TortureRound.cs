using System.Globalization;
using Pollux.Cluster.Keepers;

namespace Pollux.Lab.Torture;

/// <summary>A side of the pair, as it is when a round begins.</summary>
public enum PairSide
{
    Primary,
    Standby,
}

/// <summary>What the pair is brought to do, so that the strike meets it there.</summary>
public enum TorturePath
{
    /// <summary>Nothing: it checkpoints.</summary>
    Steady,

    /// <summary>The user asks for a takeover.</summary>
    PlannedTakeover,

    /// <summary>The user ends the protection and asks for it anew.</summary>
    Protecting,

    /// <summary>The other side's host is frozen for a while.</summary>
    PeerFrozen,

    /// <summary>The other side's host has lost power.</summary>
    PeerOff,
}

/// <summary>What is done to the struck side.</summary>
public enum Strike
{
    None,
    PowerOff,
    Freeze,
    KillQemu,
    KillKeeper,
    KillAgent,

    /// <summary>QEMU ends its checkpoint channel by itself (COLO_EXIT).</summary>
    BreakChannel,

    /// <summary>Nothing arrives from either side at the other for a while; both reach the witness.</summary>
    CutLink,

    /// <summary>Nothing that the struck side sends arrives at the other for a while; it hears all that the other says.</summary>
    CutOneWay,

    /// <summary>Between the two sides one packet in five is lost for a while, at random.</summary>
    LossyLink,

    /// <summary>Between the two sides 20 Mbit/s get through for a while.</summary>
    SlowLink,

    /// <summary>The host's etcd dies and is started again after a while.</summary>
    KillEtcd,

    /// <summary>An answer is lost; only at fault points that are answers.</summary>
    DropAnswer,
}

/// <summary>One round: on which path, at which moment, what strikes which side. All of it follows from the seed.</summary>
/// <param name="Point">The fault point (<see cref="FaultPoints"/>) at which the strike falls; null: at any moment.</param>
/// <param name="After">How long after the load runs, ms.</param>
/// <param name="FrozenMs">How long a host stays frozen, a link cut or poor, or an etcd down.</param>
public sealed record TortureRound(int Number, TorturePath Path, PairSide Side, Strike Strike, string? Point, int After, int FrozenMs)
{
    public override string ToString()
    {
        var side = Side.ToString().ToLowerInvariant();
        var what = Strike switch
        {
            Strike.None => Path == TorturePath.PlannedTakeover ? "planned takeover" : "no strike",
            Strike.PowerOff => $"power-off of the {side}",
            Strike.Freeze => string.Create(CultureInfo.InvariantCulture, $"freeze of the {side} for {FrozenMs} ms"),
            Strike.KillQemu => $"kill-qemu at the {side}",
            Strike.KillKeeper => $"kill-keeper at the {side}",
            Strike.KillAgent => $"kill-agent at the {side}",
            Strike.BreakChannel => $"break-channel at the {side}",
            Strike.CutLink => string.Create(CultureInfo.InvariantCulture, $"cut-link for {FrozenMs} ms{(Point is null ? "" : $", the {side} held")}"),
            Strike.CutOneWay => string.Create(CultureInfo.InvariantCulture, $"cut from the {side} one-way for {FrozenMs} ms"),
            Strike.LossyLink => string.Create(CultureInfo.InvariantCulture, $"lossy-link for {FrozenMs} ms{(Point is null ? "" : $", the {side} held")}"),
            Strike.SlowLink => string.Create(CultureInfo.InvariantCulture, $"slow-link for {FrozenMs} ms{(Point is null ? "" : $", the {side} held")}"),
            Strike.KillEtcd => string.Create(CultureInfo.InvariantCulture, $"kill-etcd at the {side} for {FrozenMs} ms"),
            _ => $"lost answer at the {side}",
        };
        return what + (Point is null ? "" : $" at {Point}") + (Path, Strike) switch
        {
            (TorturePath.PlannedTakeover, not Strike.None) => " in a planned takeover",
            (TorturePath.Protecting, _) => " while it is protected anew",
            (TorturePath.PeerFrozen, _) => string.Create(CultureInfo.InvariantCulture, $", the other side frozen for {FrozenMs} ms"),
            (TorturePath.PeerOff, _) => ", the other side off",
            _ => "",
        };
    }
}
