using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Pollux.Agent.Events;
using Pollux.Agent.Keepers;
using Pollux.Agent.Metrics;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Qemu.Probing;
using Pollux.Qemu.Spec;

namespace Pollux.Agent.Reconciling;

/// <summary>Looks, decides (<see cref="Reconciler"/>) and acts, whenever the store changes and at least once a second.</summary>
internal sealed class ReconcileLoop(AgentConfig config, EtcdStore store, HostLease lease, LocalVms vms, Task<AcceleratorFinding> accelerator, TakeoverCount takeovers, EventJournal events, ILogger log)
{
    private static readonly TimeSpan AtLeastEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan AskWithin = TimeSpan.FromSeconds(40);
    private readonly SemaphoreSlim _wake = new(0, 1);
    private volatile ClusterView? _seen;
    private readonly ConcurrentDictionary<VmName, VmMemory> _memory = new();
    private readonly ConcurrentDictionary<HostId, HostRecord> _known = new();
    private readonly ConcurrentDictionary<VmName, Task> _acting = new();
    private readonly Dictionary<(VmName Vm, string Kind), string> _told = [];

    /// <summary>What the last look found; null before the first. Old while the store does not answer.</summary>
    public ClusterView? Seen => _seen;

    /// <summary>Every host that has been alive since this agent began, as it was last seen.</summary>
    public IReadOnlyDictionary<HostId, HostRecord> KnownHosts => _known;

    /// <summary>What this host remembers of a VM: why it is not protected, or does not start.</summary>
    public VmMemory MemoryOf(VmName vm) => _memory.GetValueOrDefault(vm) ?? new VmMemory();

    public void Wake()
    {
        try
        {
            _wake.Release();
        }
        catch (SemaphoreFullException)
        {
            // Awake already.
        }
    }

    /// <summary>Until cancelled. Nothing that one VM's entries or files hold ends it.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        var watching = WatchAsync(cancellation);
        try
        {
            while (true)
            {
                try
                {
                    await OnceAsync(cancellation).ConfigureAwait(false);
                }
                catch (StoreUnavailableException e)
                {
                    log.Say(e.Message);
                }
                await _wake.WaitAsync(AtLeastEvery, cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            await watching.ConfigureAwait(false);
            await Task.WhenAll(_acting.Values).ConfigureAwait(false);
        }
    }

    private async Task OnceAsync(CancellationToken cancellation)
    {
        // One thing at a time for each VM; and what was under way while the host was looked at may not be as it was seen.
        var busy = _acting.Where(a => !a.Value.IsCompleted).Select(a => a.Key).ToHashSet();
        var last = _seen;
        var view = _seen = await LookAsync(cancellation).ConfigureAwait(false);
        Note(last, view);
        foreach (var name in view.Vms.Keys.Union(view.Local.Keys).Where(n => !busy.Contains(n)))
        {
            var before = MemoryOf(name);
            var (memory, action) = Reconciler.Decide(view, name, before);
            _memory[name] = memory;
            if (view.Local.GetValueOrDefault(name)?.Keeper is { Phase: "protected" })
            {
                _told.Remove((name, EventKinds.NotProtected));
                _told.Remove((name, EventKinds.StartFailed));
            }
            foreach (var draft in ClusterNews.OfVm(before, memory, view.Local.GetValueOrDefault(name) ?? LocalVm.Nothing, last?.Now ?? view.Now, view.Now))
            {
                log.Say($"{name}: {draft.Text}");
                // Attempts are repeated for ever; what they come to is news when it changes.
                if (_told.GetValueOrDefault((name, draft.Kind)) != draft.Text)
                {
                    _told[(name, draft.Kind)] = draft.Text;
                    events.Tell(name, draft);
                }
            }
            if (action is not null)
            {
                _acting[name] = ActAsync(action, cancellation);
            }
        }
    }

    private void Note(ClusterView? last, ClusterView view)
    {
        foreach (var host in view.Hosts.Values)
        {
            _known[host.Host] = host;
        }
        foreach (var gone in _told.Keys.Where(k => !view.Vms.ContainsKey(k.Vm)).ToList())
        {
            _told.Remove(gone);
        }
        foreach (var keeper in view.Local.Values.Select(l => l.Keeper).OfType<KeeperStatus>())
        {
            takeovers.Note(keeper);
        }
        foreach (var draft in ClusterNews.OfHosts(last, view))
        {
            events.Tell(null, draft);
        }
    }

    private async Task<ClusterView> LookAsync(CancellationToken cancellation)
    {
        var hosts = await store.ListAsync(StoreKeys.Hosts, cancellation).ConfigureAwait(false);
        var vmViews = StoreReader.Vms(await store.ListAsync(StoreKeys.Vms, cancellation).ConfigureAwait(false));
        var names = vmViews.Keys.Union(vms.Names()).ToList();
        var local = await Task.WhenAll(names.Select(n => vms.LookAsync(n, cancellation))).ConfigureAwait(false);
        return new ClusterView(
            config.Host, Stopwatch.GetTimestamp() * 1000.0 / Stopwatch.Frequency, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            StoreReader.Hosts(hosts), vmViews, names.Zip(local).ToDictionary(p => p.First, p => p.Second));
    }

    private async Task ActAsync(AgentAction action, CancellationToken cancellation)
    {
        log.Say(Describe(action));
        try
        {
            await DoAsync(action, cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The agent ends; what was begun is found again.
        }
        catch (Exception e)
        {
            // Also a fault of the program: it is told, and the other VMs do not suffer for it.
            log.Say($"{action.Vm}: {(e is PolluxException or IOException ? e.Message : e)}");
            if (action is AgentAction.Protect && _memory.TryGetValue(action.Vm, out var memory))
            {
                _memory[action.Vm] = memory with { Note = e.Message };
            }
            // The next look comes soon enough: what fails at once is not tried again at once.
            return;
        }
        // One that is sent away may wait for its primary's word instead.
        if (action is not AgentAction.SendAway)
        {
            Wake();
        }
    }

    private Task DoAsync(AgentAction action, CancellationToken cancellation)
    {
        switch (action)
        {
            case AgentAction.StartKeeper start:
                return StartAsync(start, cancellation);
            case AgentAction.Stop stop:
                return vms.ClientOf(stop.Vm).AskAsync(new KeeperRequest("stop", Force: stop.Force), AskWithin, cancellation);
            case AgentAction.SendAway:
                return vms.ClientOf(action.Vm).AskAsync(new KeeperRequest("send-away"), AskWithin, cancellation);
            case AgentAction.ClearRemains:
                return vms.ClearAsync(action.Vm);
            case AgentAction.Assign assign:
                return AssignAsync(assign, cancellation);
            case AgentAction.Protect protect:
                return vms.ClientOf(protect.Vm).AskAsync(new KeeperRequest("protect", protect.Target), AskWithin, cancellation);
            case AgentAction.Unprotect:
                return vms.ClientOf(action.Vm).AskAsync(new KeeperRequest("unprotect"), AskWithin, cancellation);
            case AgentAction.Disclaim disclaim:
                return DisclaimAsync(disclaim, cancellation);
            case AgentAction.TellFailed failed:
                RequireLease();
                var endpoint = new StandbyEndpoint(
                    config.Host, Incarnation.New(), failed.Attempt, config.Address, 0, StandbyState.Failed, failed.Why);
                return store.PutAsync(
                    StoreKeys.Endpoint(failed.Vm, config.Host), JsonSerializer.Serialize(endpoint, StoreJson.Default.StandbyEndpoint), lease.Id, cancellation);
            default:
                throw new InvalidOperationException($"no such action: {action}");
        }
    }

    /// <summary>What is offered under no lease would outlive this host.</summary>
    private void RequireLease()
    {
        if (lease.Id == 0)
        {
            throw new PolluxException($"{config.Host} has no lease yet", "it is tried again in a moment");
        }
    }

    private Task DisclaimAsync(AgentAction.Disclaim disclaim, CancellationToken cancellation)
    {
        var role = disclaim.Role;
        var next = new Role(role.Term + 1, RoleState.Running, role.Primary, null, $"{Incarnation.New()}-agent", $"the standby on {config.Host} is dead");
        return store.SwapAsync(new Swap(StoreKeys.Role(disclaim.Vm), disclaim.Revision, next.ToJson(), StoreKeys.Host(config.Host)), cancellation);
    }

    private async Task AssignAsync(AgentAction.Assign assign, CancellationToken cancellation)
    {
        var key = StoreKeys.Assignment(assign.Vm);
        if (assign.Host is not { } host)
        {
            await store.DeleteAsync(key, cancellation).ConfigureAwait(false);
            return;
        }
        var value = JsonSerializer.Serialize(new StandbyAssignment(host, assign.Attempt), StoreJson.Default.StandbyAssignment);
        await store.SwapAsync(new Swap(key, assign.ExpectedRevision, value), cancellation).ConfigureAwait(false);
    }

    public async Task StartAsync(AgentAction.StartKeeper start, CancellationToken cancellation)
    {
        if (start.Start is KeeperStart.Standby or KeeperStart.Destination)
        {
            RequireLease();
        }
        var accelerator = await AcceleratorOfAsync(start.SpecYaml, cancellation).ConfigureAwait(false);
        await vms.StartAsync(
            new KeeperConfig(
                start.Vm, config.Host, start.Start, start.SpecYaml, config.DirectoryOf(start.Vm), config.RamDirectory, vms.CgroupOf(start.Vm),
                config.Qemu, accelerator, config.TcgShim, config.Address, config.Etcd, config.Tls, lease.Id, start.Attempt, config.FaultPoints, start.Settings, config.EventsFile),
            cancellation).ConfigureAwait(false);
    }

    /// <summary>The spec's wish, or what is found to work on this host: right after the agent's start a VM may wait seconds for that.</summary>
    private async Task<string> AcceleratorOfAsync(string specYaml, CancellationToken cancellation) =>
        VmSpecReader.Read(specYaml, "the spec").Accelerator switch
        {
            Accelerator.Kvm => "kvm",
            Accelerator.Tcg => "tcg",
            _ => (await accelerator.WaitAsync(cancellation).ConfigureAwait(false)).Name,
        };

    private async Task WatchAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                await foreach (var _ in store.WatchAsync(StoreKeys.Root, cancellation).ConfigureAwait(false))
                {
                    Wake();
                }
            }
            catch (StoreUnavailableException)
            {
                await Task.Delay(AtLeastEvery, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private static string Describe(AgentAction action) => action switch
    {
        AgentAction.StartKeeper start => $"{action.Vm}: starting a keeper ({start.Start})",
        AgentAction.Stop stop => $"{action.Vm}: stopping: {stop.Why}",
        AgentAction.SendAway away => $"{action.Vm}: sending its standby away: {away.Why}",
        AgentAction.ClearRemains => $"{action.Vm}: removing what a dead keeper left",
        AgentAction.Assign { Host: { } host } => $"{action.Vm}: asking {host} to stand by",
        AgentAction.Assign => $"{action.Vm}: no standby is wanted any more",
        AgentAction.Protect protect => $"{action.Vm}: protecting with {protect.Target.Host}/{protect.Target.Incarnation}",
        AgentAction.Unprotect => $"{action.Vm}: ending protection",
        AgentAction.Disclaim => $"{action.Vm}: saying that its standby here is dead",
        AgentAction.TellFailed failed => $"{action.Vm}: cannot stand by: {failed.Why}",
        _ => action.ToString(),
    };
}
