using Pollux.Agent.Reconciling;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Agent.Reconciling;

/// <summary>A cluster of h1, h2 and h3 with the VM 'redis', whose home is h1, as one host sees it.</summary>
internal sealed class Scene
{
    internal static readonly VmName Redis = VmName.Create("redis");
    internal static readonly HostId H1 = HostId.Create("h1");
    internal static readonly HostId H2 = HostId.Create("h2");
    internal static readonly HostId H3 = HostId.Create("h3");
    internal static readonly Incarnation Standby = Incarnation.Create("5b5b5b5b5b5b5b5b");
    private const long Today = 1_795_000_000_000;

    internal HostId Me { get; init; } = H1;
    internal List<HostId> Alive { get; init; } = [H1, H2];
    internal List<HostId> OtherQemu { get; } = [];
    internal VmRecord? Record { get; set; } = new(Redis, "name: redis", H1, Run: true, Protect: false, null);
    internal Role? Role { get; set; }
    internal StandbyAssignment? Assignment { get; set; }
    internal List<StandbyEndpoint> Endpoints { get; } = [];
    internal string? Damage { get; set; }
    internal LocalVm Local { get; set; } = LocalVm.Nothing;
    internal VmMemory Memory { get; set; } = new();
    internal double Now { get; set; } = 1_000_000;

    internal AgentAction? Decide()
    {
        var vm = new VmView(Redis, Record, Role, Assignment, Assignment is null ? 0 : 7, Endpoints.ToDictionary(e => e.Host), Damage);
        var view = new ClusterView(
            Me, Now, Today + (long)Now, Alive.ToDictionary(h => h, HostOf), new Dictionary<VmName, VmView> { [Redis] = vm },
            new Dictionary<VmName, LocalVm> { [Redis] = Local });
        (Memory, var action) = Reconciler.Decide(view, Redis, Memory);
        return action;
    }

    /// <summary>Decides every half second, as the agent does, until it decides something; returns after how long.</summary>
    internal (AgentAction? Action, double AfterMs) DecideUntilAction(double withinMs)
    {
        var begin = Now;
        for (; Now - begin <= withinMs; Now += 500)
        {
            if (Decide() is { } action)
            {
                return (action, Now - begin);
            }
        }
        return (null, withinMs);
    }

    internal static Role RoleOf(RoleState state, HostId primary, HostId? standby = null) =>
        new(3, state, new Member(primary, Incarnation.Create("aaaaaaaaaaaaaaaa")), standby is { } s ? new Member(s, Standby) : null, "n", "for the test");

    internal static LocalVm Alone(string phase = "running", string side = "primary", long attempt = 0) =>
        LocalVm.Alive(StatusOf(side, phase), attempt);

    internal static readonly LocalVm Busy = LocalVm.Alive(null, 0);
    internal static readonly LocalVm Orphan = new(false, null, 0, true, false, true, true, "killed");
    internal static readonly LocalVm Remains = new(false, null, 0, false, false, true, true, "killed");

    internal static LocalVm Ended(long attempt, string lastWords) => new(false, null, attempt, false, false, false, true, lastWords);

    internal void Offer(StandbyState state, string? why = null) =>
        Endpoints.Add(new StandbyEndpoint(Assignment!.Host, Standby, Assignment.Attempt, "10.0.0.2", 4000, state, why));

    private static KeeperStatus StatusOf(string side, string phase)
    {
        var none = new Percentiles(0, 0, 0);
        return new KeeperStatus(
            Redis, H1, side == "standby" ? Standby : Incarnation.Create("aaaaaaaaaaaaaaaa"), 1, 2, side, phase, "the link broke", null, "7.2.0", "tcg",
            new CheckpointStatus(0, 0, 0, none, none), new BufferStatus(0, 0, 0, 0), new NetworkStatus(0, 0, 0, 0, 0), null, new ProtectionSettings());
    }

    private HostRecord HostOf(HostId host) => new(host, "boot", "10.0.0.1", 7080, 1, 8L << 30, OtherQemu.Contains(host) ? "10.0.0" : "7.2.0", "tcg");
}
