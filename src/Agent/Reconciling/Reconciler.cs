using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Reconciling;

/// <summary>
/// What a host shall do for a VM: a pure function of the store, of what the host sees of itself, and of a little memory. Called again and
/// again; everything it asks for may be repeated without harm, since keepers start under a lock and act by compare-and-swap.
/// </summary>
internal static class Reconciler
{
    /// <summary>A guest that died here may be taken over elsewhere meanwhile.</summary>
    private const double PatienceMs = 3_000;
    private const double AskAgainMs = 10_000;

    /// <summary>A destination gives a guest back that does not run there within ten seconds of its own host's time, which on a busy host last longer.</summary>
    private const double MoveDecidedMs = 30_000;
    private const double PrepareWithinMs = 60_000;

    /// <summary>Between asking a keeper to protect and seeing it do so.</summary>
    private const double SettleMs = 1_500;

    /// <summary>A guest that has run for so long was started well: its next death is no failed start.</summary>
    private const double WellMs = 60_000;

    public static (VmMemory Memory, AgentAction? Action) Decide(ClusterView view, VmName name, VmMemory memory)
    {
        var vm = view.Vms.GetValueOrDefault(name) ?? VmView.Unknown(name);
        var local = view.Local.GetValueOrDefault(name) ?? LocalVm.Nothing;
        if (vm.Damage is { } damage)
        {
            return (memory with { Note = damage }, null);
        }
        if (vm.Record is null)
        {
            return (new VmMemory(), Bury(view, vm, local));
        }
        memory = memory with { Partner = PartnerIn(vm.Role, view.Me) ?? (RunsHere(view, vm) ? memory.Partner : null) };
        if (RunsHere(view, vm))
        {
            return AsPrimary(view, vm, local, memory);
        }
        if (IsDeadStandby(view, vm, local))
        {
            var dead = memory.DeadSince ?? view.Now;
            return (memory with { DeadSince = dead }, view.Now - dead < PatienceMs ? null : new AgentAction.Disclaim(name, vm.Role!, vm.RoleRevision));
        }
        if (local is { KeeperLives: false, OrphanLives: true, OrphanMoves: true } && vm.Role is { State: RoleState.Running })
        {
            // The last swap of its keeper may still win, or the host it went to may give it back: then it is the only copy. Nothing is begun over it.
            var dead = memory.DeadSince ?? view.Now;
            return (memory with { DeadSince = dead }, view.Now - dead < MoveDecidedMs ? null : Forget(name, local, ""));
        }
        if (IsStandbyWanted(view, vm))
        {
            return (memory with { DeadSince = null }, AsStandby(vm, local, view.Me));
        }
        return (memory with { DeadSince = null }, IsPartOfPair(view, vm, local) || KnowsBetter(vm, local) ? null : Forget(name, local, "this host is not its standby any more"));
    }

    /// <summary>Rule 7: the role's primary is the truth; without a role the record's home is.</summary>
    private static bool RunsHere(ClusterView view, VmView vm) =>
        (vm.Role?.Primary.Host ?? vm.Record!.Home) == view.Me;

    private static bool IsStandbyWanted(ClusterView view, VmView vm) =>
        vm.Assignment?.Host == view.Me && vm.Record is { Run: true, Protect: true } && vm.Role is { State: RoleState.Running or RoleState.Protected };

    private static HostId? PartnerIn(Role? role, HostId me) => role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby }
        ? standby.Host == me ? role.Primary.Host : role.Primary.Host == me ? standby.Host : null
        : null;

    /// <summary>A standby that the role names is never sent away from outside, whatever the assignment says.</summary>
    private static bool IsPartOfPair(ClusterView view, VmView vm, LocalVm local) =>
        local.KeeperLives && vm.Role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby } && standby.Host == view.Me;

    /// <summary>The store was looked at before the host: the VM may have moved here between the two, and its keeper has won the role then.</summary>
    private static bool KnowsBetter(VmView vm, LocalVm local) => local.Keeper?.Role is { } known && known.Term > (vm.Role?.Term ?? 0);

    /// <summary>
    /// Only a stopped VM can be deleted, so a guest that runs without a record is a fault of the store, and runs on.
    /// </summary>
    private static AgentAction? Bury(ClusterView view, VmView vm, LocalVm local) => local switch
    {
        { KeeperLives: true, Keeper: null or { Side: "primary" } } => null,
        { OrphanLives: true } when vm.Role is { State: not RoleState.Stopped } role && role.Primary.Host == view.Me => null,
        { KeeperLives: true } => Forget(vm.Name, local, "the VM was deleted"),
        { HasDirectory: true } => new AgentAction.ClearRemains(vm.Name),
        _ => null,
    };

    /// <summary>The role names a standby of this host whose keeper is dead, or another one: what it held is gone.</summary>
    private static bool IsDeadStandby(ClusterView view, VmView vm, LocalVm local) =>
        vm.Role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby } && standby.Host == view.Me
        && (!local.KeeperLives || (local.Keeper is { } keeper && keeper.Incarnation != standby.Incarnation));

    /// <summary>A keeper that takes over, moves its guest or waits for the role decides by that itself, and the role may come back to it.</summary>
    private static AgentAction? Forget(VmName name, LocalVm local, string why) => local switch
    {
        { KeeperLives: true, Keeper: null or { Phase: "taking" or "moving" or "holding" } or { Side: "destination" } } => null,
        { KeeperLives: true, Keeper.Side: "standby" } => new AgentAction.SendAway(name, why),
        { KeeperLives: true } => new AgentAction.Stop(name, Force: true, why),
        { HasRemains: true } => new AgentAction.ClearRemains(name),
        _ => null,
    };

    private static AgentAction? AsStandby(VmView vm, LocalVm local, HostId me)
    {
        var assignment = vm.Assignment!;
        if (local.KeeperLives)
        {
            return local.Attempt == assignment.Attempt || local.Keeper is null or { Side: "primary" or "destination" } || vm.Role!.Standby?.Host == me
                ? null
                : new AgentAction.SendAway(vm.Name, "a newer attempt replaces it");
        }
        if (local.Attempt == assignment.Attempt)
        {
            // It was started and is dead again: the primary's host decides whether to try once more.
            var told = vm.Endpoints.GetValueOrDefault(me) is { State: StandbyState.Failed } endpoint && endpoint.Attempt == assignment.Attempt;
            return told ? null : new AgentAction.TellFailed(vm.Name, assignment.Attempt, local.LastWords);
        }
        return new AgentAction.StartKeeper(vm.Name, KeeperStart.Standby, vm.Record!.SpecYaml, assignment.Attempt, vm.Record.Settings);
    }

    private static (VmMemory, AgentAction?) AsPrimary(ClusterView view, VmView vm, LocalVm local, VmMemory memory)
    {
        if (!local.KeeperLives)
        {
            return Revive(view, vm, local, memory);
        }
        memory = memory with { DeadSince = null, Starting = view.Now - memory.Starting.Last < WellMs ? memory.Starting : default };
        if (local.Keeper is { Phase: not ("starting" or "stopping") })
        {
            memory = memory with { Tried = false, StartFailure = "" };
        }
        if (!vm.ShallRun)
        {
            return local.Keeper is not null && view.Now - memory.StoppedAt >= AskAgainMs
                ? (memory with { StoppedAt = view.Now }, new AgentAction.Stop(vm.Name, Force: false, "the VM shall not run"))
                : (memory, null);
        }
        return local.Keeper switch
        {
            { Side: "primary" } keeper => CareForProtection(view, vm, keeper, memory),
            // It waits for a primary on another host, and the role names one of this host, which is dead.
            { Side: "standby" } keeper when vm.Role is { } role && role.Primary.Incarnation != keeper.Incarnation && !KnowsBetter(vm, local) => (memory, Forget(vm.Name, local, "the role names this host's own guest")),
            _ => (memory, null),
        };
    }

    private static (VmMemory, AgentAction?) Revive(ClusterView view, VmView vm, LocalVm local, VmMemory memory)
    {
        if (!vm.ShallRun && !IsLeftRunning(vm, local))
        {
            // A stopped VM has no standby: the next start finds it one afresh.
            AgentAction? tidy = local.HasRemains ? new AgentAction.ClearRemains(vm.Name)
                : vm.Assignment is not null ? new AgentAction.Assign(vm.Name, null, 0, vm.AssignmentRevision) : null;
            return (new VmMemory(), tidy);
        }
        var dead = memory.DeadSince ?? view.Now;
        memory = memory with { DeadSince = dead, StartFailure = memory.Tried ? local.LastWords : "" };
        if (view.Now < memory.Starting.NotBefore)
        {
            return (memory, null);
        }
        var start = (vm.Role?.State, local.OrphanLives) switch
        {
            // Whatever is left of a guest that was stopped is not the one that is to be started.
            (null or RoleState.Stopped, _) => KeeperStart.Primary,
            (_, true) => KeeperStart.Adopt,
            // The last commit may be with the standby. Its host takes over, or says that it has nothing any more; time proves neither.
            (RoleState.Taking or RoleState.Protected, _) => (KeeperStart?)null,
            _ => view.Now - dead >= PatienceMs ? KeeperStart.Primary : null,
        };
        if (start is null && vm.Role is { State: RoleState.Taking or RoleState.Protected, Standby: { } standby })
        {
            memory = memory with { StartFailure = $"{standby.Host} may hold its last commit; it starts when {standby.Host} is back" };
        }
        return start is null
            ? (memory, null)
            : (memory with { DeadSince = null, Starting = memory.Starting.Next(view.Now), StoppedAt = double.NegativeInfinity, Tried = true }, new AgentAction.StartKeeper(vm.Name, start.Value, vm.Record!.SpecYaml, 0, vm.Record.Settings));
    }

    /// <summary>Its guest was asked to power down, and may be about it: the next keeper sees it through. Only force kills a guest.</summary>
    private static bool IsLeftRunning(VmView vm, LocalVm local) => local.OrphanLives && vm.Role is { State: not RoleState.Stopped };

    private static (VmMemory, AgentAction?) CareForProtection(ClusterView view, VmView vm, KeeperStatus keeper, VmMemory memory)
    {
        if (!vm.Record!.Protect)
        {
            AgentAction? end = keeper.Phase is "protected" or "syncing" ? new AgentAction.Unprotect(vm.Name)
                : vm.Assignment is not null ? new AgentAction.Assign(vm.Name, null, 0, vm.AssignmentRevision) : null;
            return (memory.WithoutStandby() with { Partner = null }, end);
        }
        return keeper.Phase switch
        {
            // Should the pair end, that standby is not asked again: it leaves, or is dead.
            "protected" => (memory.WithoutStandby() with { Asked = vm.Role?.Standby?.Incarnation ?? memory.Asked }, null),
            "running" => FindStandby(view, vm, keeper, memory),
            _ => (memory, null),
        };
    }

    private static (VmMemory, AgentAction?) FindStandby(ClusterView view, VmView vm, KeeperStatus keeper, VmMemory memory)
    {
        if (vm.Assignment is { } assignment && assignment.Host != view.Me && view.Hosts.ContainsKey(assignment.Host))
        {
            var endpoint = vm.Endpoints.GetValueOrDefault(assignment.Host);
            if (endpoint?.Attempt == assignment.Attempt)
            {
                switch (endpoint.State)
                {
                    case StandbyState.Ready when memory.Asked != endpoint.Incarnation:
                        var target = new StandbyTarget(endpoint.Host, endpoint.Incarnation, endpoint.Address, endpoint.Port);
                        return (memory with { Asked = endpoint.Incarnation, AskedAt = view.Now, AskedAttempt = assignment.Attempt }, new AgentAction.Protect(vm.Name, target));
                    case StandbyState.Ready when view.Now - memory.AskedAt < SettleMs:
                        return (memory, null);
                    case StandbyState.Preparing when view.Now - memory.AssignedAt < PrepareWithinMs:
                        return (memory with { AssignedAt = memory.AssignedAt == 0 ? view.Now : memory.AssignedAt }, null);
                    case StandbyState.Failed:
                        // Once our keeper was asked it knows best why it came to nothing: the standby may only have seen the end of it.
                        memory = memory with { Note = memory.Asked == endpoint.Incarnation && keeper.Note.Length > 0 ? keeper.Note : $"{endpoint.Host} cannot stand by: {endpoint.Why}" };
                        break;
                    case StandbyState.Ready:
                        memory = memory with { Note = keeper.Note };
                        break;
                }
            }
            else if (memory.AskedAttempt != assignment.Attempt && (memory.AssignedAt == 0 || view.Now - memory.AssignedAt < PrepareWithinMs))
            {
                return (memory with { AssignedAt = memory.AssignedAt == 0 ? view.Now : memory.AssignedAt }, null);
            }
        }
        return view.Now < memory.Assigning.NotBefore ? (memory, null) : AssignAnew(view, vm, memory);
    }

    private static (VmMemory, AgentAction?) AssignAnew(ClusterView view, VmView vm, VmMemory memory)
    {
        if (Choose(view, vm, memory) is not { } host)
        {
            return (memory with { Note = "no other host is alive that could stand by" }, null);
        }
        // New even when earlier assignments are gone from the store: hosts know by it what their last keeper was started for.
        var attempt = Math.Max(view.UnixMs, (vm.Assignment?.Attempt ?? 0) + 1);
        var first = memory.Assigning.Attempts == 0 ? attempt : memory.SearchedFrom;
        return (memory with { Assigning = memory.Assigning.Next(view.Now), Asked = null, AssignedAt = view.Now, SearchedFrom = first },
            new AgentAction.Assign(vm.Name, host, attempt, vm.AssignmentRevision));
    }

    /// <summary>
    /// The host that the user prefers, else the one with the fewest VMs. After all others come, from the last: the one that was asked just now; those that have failed
    /// since the search began; those with another QEMU or accelerator than this one's, which would refuse; and the other host of a pair that is over, since a dead
    /// one counts as alive until its lease is gone.
    /// </summary>
    private static HostId? Choose(ClusterView view, VmView vm, VmMemory memory)
    {
        var others = view.Hosts.Values.Where(h => h.Host != view.Me).ToList();
        if (others.Count == 0)
        {
            return null;
        }
        HashSet<HostId> failed = memory.Assigning.Attempts == 0
            ? []
            : [.. vm.Endpoints.Values.Where(e => e.State == StandbyState.Failed && e.Attempt >= memory.SearchedFrom).Select(e => e.Host)];
        return others
            .OrderBy(h => h.Host == vm.Assignment?.Host)
            .ThenBy(h => failed.Contains(h.Host))
            .ThenBy(h => view.Hosts.TryGetValue(view.Me, out var me) && (h.QemuVersion, h.Accelerator) != (me.QemuVersion, me.Accelerator))
            .ThenBy(h => h.Host == memory.Partner)
            .ThenBy(h => h.Host != vm.Record!.PreferredStandby)
            .ThenBy(h => view.Vms.Values.Count(v => v.Assignment?.Host == h.Host || v.Role?.Primary.Host == h.Host))
            .ThenBy(h => h.Host.Value, StringComparer.Ordinal)
            .First().Host;
    }
}
