using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Reconciling;

/// <summary>What the store says of a VM at one moment.</summary>
/// <param name="AssignmentRevision">The store's revision of <paramref name="Assignment"/>, 0 when there is none.</param>
/// <param name="Damage">Why its entries cannot be read; what else is here then says nothing.</param>
internal sealed record VmView(
    VmName Name, VmRecord? Record, Role? Role, StandbyAssignment? Assignment, long AssignmentRevision, IReadOnlyDictionary<HostId, StandbyEndpoint> Endpoints,
    string? Damage = null, long RoleRevision = 0)
{
    /// <summary>The user wants it to run, and its guest has not shut itself down since.</summary>
    public bool ShallRun => Record is { Run: true } record && !(Role is { State: RoleState.Stopped, ByGuest: true } role && role.Term > record.RunSince);

    /// <summary>A VM of which the store knows nothing.</summary>
    public static VmView Unknown(VmName name) => new(name, null, null, null, 0, new Dictionary<HostId, StandbyEndpoint>());
}

/// <summary>What this host knows of a VM by looking at itself.</summary>
/// <param name="KeeperLives">A keeper holds the VM's run directory, or was started and is about to.</param>
/// <param name="Keeper">What it says of itself; null while it starts or is too busy.</param>
/// <param name="Attempt">The assignment for which the last keeper was started.</param>
/// <param name="OrphanLives">A QEMU runs whose keeper is dead.</param>
/// <param name="OrphanMoves">Its guest was on the way here, or handed over, when that keeper died.</param>
/// <param name="HasRemains">A dead keeper left its QEMU or that QEMU's files.</param>
/// <param name="HasDirectory">There is a run directory, if only with logs.</param>
/// <param name="LastWords">Why the keeper ended.</param>
internal sealed record LocalVm(bool KeeperLives, KeeperStatus? Keeper, long Attempt, bool OrphanLives, bool OrphanMoves, bool HasRemains, bool HasDirectory, string LastWords)
{
    public static readonly LocalVm Nothing = new(false, null, 0, false, false, false, false, "");

    /// <summary>Its keeper lives.</summary>
    /// <param name="says">What it says of itself; null while it starts or is too busy.</param>
    public static LocalVm Alive(KeeperStatus? says, long attempt) => new(true, says, attempt, false, false, true, true, "");
}

/// <summary>All that a decision may look at.</summary>
/// <param name="Now">Monotonic, milliseconds.</param>
/// <param name="UnixMs">The time of day, for numbers that must not come twice; nothing is ever compared with it.</param>
internal sealed record ClusterView(
    HostId Me, double Now, long UnixMs, IReadOnlyDictionary<HostId, HostRecord> Hosts, IReadOnlyDictionary<VmName, VmView> Vms, IReadOnlyDictionary<VmName, LocalVm> Local);

/// <summary>Something that the agent shall do.</summary>
internal abstract record AgentAction(VmName Vm)
{
    public sealed record StartKeeper(VmName Vm, KeeperStart Start, string SpecYaml, long Attempt, ProtectionSettings? Settings = null) : AgentAction(Vm);
    public sealed record Stop(VmName Vm, bool Force, string Why) : AgentAction(Vm);

    /// <summary>A standby is of no use any more. Unlike a stop it means nothing to one that has taken over meanwhile.</summary>
    public sealed record SendAway(VmName Vm, string Why) : AgentAction(Vm);
    public sealed record ClearRemains(VmName Vm) : AgentAction(Vm);

    /// <summary>Ask <paramref name="Host"/> to stand by; nobody when null. Compares the revision, so that two agents cannot cross.</summary>
    public sealed record Assign(VmName Vm, HostId? Host, long Attempt, long ExpectedRevision) : AgentAction(Vm);
    public sealed record Protect(VmName Vm, StandbyTarget Target) : AgentAction(Vm);
    public sealed record Unprotect(VmName Vm) : AgentAction(Vm);
    /// <summary>Say that this host's standby, which the role names, is dead: the role's primary is all there is.</summary>
    public sealed record Disclaim(VmName Vm, Role Role, long Revision) : AgentAction(Vm);
    public sealed record TellFailed(VmName Vm, long Attempt, string Why) : AgentAction(Vm);
}

/// <summary>What the agent remembers of a VM between two decisions. Lost with the agent, to no harm.</summary>
/// <param name="DeadSince">When its guest was first seen dead here, ms.</param>
/// <param name="Starting">Of starting its keeper here.</param>
/// <param name="StoppedAt">When it was last asked to stop, ms.</param>
/// <param name="Assigning">Of finding a standby.</param>
/// <param name="AssignedAt">When the present assignment was first seen, ms.</param>
/// <param name="Asked">The standby with which protection was last asked for.</param>
/// <param name="AskedAt">When, ms.</param>
/// <param name="Note">Why it is not protected, in words.</param>
/// <param name="Tried">A keeper was started and its guest has not been seen to run since.</param>
/// <param name="StartFailure">Why that keeper ended; empty when none has.</param>
/// <param name="SearchedFrom">The first attempt of the present search for a standby.</param>
/// <param name="Partner">The other host of the last pair, which may be dead before its lease is gone.</param>
internal sealed record VmMemory(
    double? DeadSince = null, BackOff Starting = default, double StoppedAt = double.NegativeInfinity, BackOff Assigning = default,
    double AssignedAt = 0, Incarnation? Asked = null, double AskedAt = 0, long AskedAttempt = 0, string Note = "", bool Tried = false, string StartFailure = "",
    HostId? Partner = null, long SearchedFrom = 0)
{
    /// <summary>All that is about its standby forgotten, but the attempt that is over, and the other host of the pair.</summary>
    public VmMemory WithoutStandby() => this with { Assigning = default, AssignedAt = 0, Asked = null, AskedAt = 0, Note = "" };
}

/// <summary>Attempts that follow each other ever more slowly.</summary>
/// <param name="Attempts">How many there were in a row.</param>
/// <param name="Last">When the last one began, ms.</param>
/// <param name="NotBefore">When the next one may begin, ms.</param>
internal readonly record struct BackOff(int Attempts, double Last, double NotBefore)
{
    private const double LeastMs = 1_000;
    private const double MostMs = 30_000;

    public BackOff Next(double now) => new(Attempts + 1, now, now + Math.Min(MostMs, LeastMs * Math.Pow(2, Math.Min(Attempts, 10))));
}
