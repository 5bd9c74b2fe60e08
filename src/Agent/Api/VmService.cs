using System.Text.Json;
using Pollux.Agent.Events;
using Pollux.Agent.Keepers;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Spec;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Api;

/// <summary>What users may ask of any agent. A wish is written to the store; the agents concerned make it so.</summary>
internal sealed partial class VmService(AgentConfig config, EtcdStore store, LocalVms vms, Peers peers, ReconcileLoop loop, EtcdLook etcd, EventJournal events)
{
    private const int SwapAttempts = 8;
    private static readonly TimeSpan AskWithin = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan TakeChargeWithin = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan StatusWithin = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan PreparingWithin = TimeSpan.FromSeconds(1);

    public async Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancellation) =>
        [.. StoreReader.Hosts(await store.ListAsync(StoreKeys.Hosts, cancellation).ConfigureAwait(false)).Values.OrderBy(h => h.Host.Value, StringComparer.Ordinal)];

    public Task<IReadOnlyList<VmDocument>> VmsAsync(CancellationToken cancellation) => ShowAsync(async () =>
    {
        var views = StoreReader.Vms(await store.ListAsync(StoreKeys.Vms, cancellation).ConfigureAwait(false));
        return await DocumentsAsync(views.Values, null, cancellation).ConfigureAwait(false);
    }, seen => DocumentsAsync(seen.Vms.Values, seen, cancellation));

    public Task<VmDocument> VmAsync(VmName name, CancellationToken cancellation) => ShowAsync(
        async () => await DocumentAsync(await FindAsync(name, cancellation).ConfigureAwait(false), null, cancellation).ConfigureAwait(false),
        seen => DocumentAsync(seen.Vms.GetValueOrDefault(name) is { Record: not null } view ? view : throw new UnknownVmException(name), seen, cancellation));

    public async Task<VmDocument> DefineAsync(DefineRequest request, CancellationToken cancellation)
    {
        var home = request.On ?? config.Host;
        if (home != config.Host)
        {
            var peer = await peers.OfAsync(home, cancellation).ConfigureAwait(false);
            return await peer.DefineAsync(request, AskWithin, cancellation).ConfigureAwait(false);
        }
        var spec = ReadSpec(request.SpecYaml);
        HostReadiness.Check(spec, config);
        if (request.Standby is { } standby)
        {
            if (standby == home)
            {
                throw new PolluxException($"{home} cannot be home and standby of {spec.Name}", "choose two hosts");
            }
            await peers.OfAsync(standby, cancellation).ConfigureAwait(false);
        }
        var record = new VmRecord(spec.Name, request.SpecYaml, home, Run: false, Protect: false, request.Standby);
        var outcome = await store.SwapAsync(new Swap(StoreKeys.Vm(spec.Name), 0, ToJson(record)), cancellation).ConfigureAwait(false);
        if (outcome is SwapOutcome.Won)
        {
            TellWish(spec.Name, EventKinds.Defined, $"the user defined it, with its home on {home}");
        }
        return outcome switch
        {
            SwapOutcome.Won => await VmAsync(spec.Name, cancellation).ConfigureAwait(false),
            SwapOutcome.Lost => throw new PolluxException($"there is a VM named {spec.Name} already", $"choose another name; to change it: pollux vm stop {spec.Name}; pollux vm delete {spec.Name}; and define it anew"),
            _ => throw new StoreUnavailableException(((SwapOutcome.Unknown)outcome).Why),
        };
    }

    public async Task<VmDocument> StartAsync(VmName name, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        var host = HostOf(view);
        if (host != config.Host)
        {
            var peer = await peers.OfAsync(host, cancellation).ConfigureAwait(false);
            return await peer.StartAsync(name, AskWithin, cancellation).ConfigureAwait(false);
        }
        if (!view.ShallRun)
        {
            HostReadiness.Check(VmSpecReader.Read(view.Record!.SpecYaml, $"the spec of {name}"), config);
        }
        await ChangeAsync(name, r => r with { Run = true, RunSince = view.ShallRun ? r.RunSince : view.Role?.Term ?? 0 }, cancellation).ConfigureAwait(false);
        TellWish(name, EventKinds.StartAsked, "the user asked to start it");
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    public async Task<VmDocument> StopAsync(VmName name, bool force, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        if (view is { ShallRun: false, Role: null or { State: RoleState.Stopped } })
        {
            return await VmAsync(name, cancellation).ConfigureAwait(false); // also while its host is off
        }
        await ChangeAsync(name, r => r with { Run = false, Settings = null }, cancellation).ConfigureAwait(false);
        TellWish(name, EventKinds.StopAsked, force ? "the user asked to stop it by force" : "the user asked its guest to power down");
        try
        {
            await AskKeeperAsync(HostOf(view), name, new KeeperRequest("stop", Force: force), AskWithin, cancellation).ConfigureAwait(false);
        }
        catch (KeeperAbsentException)
        {
            // It does not run: what is wanted.
        }
        catch (PolluxException e) when (e is not OutcomeUnknownException && !force && view.ShallRun)
        {
            // Refused: it runs on, and shall. Had it not been meant to run before, it is not now either.
            await ChangeAsync(name, r => r with { Run = true, Settings = r.Settings ?? view.Record!.Settings }, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
        if (force)
        {
            await ForceWhereItWentAsync(view, cancellation).ConfigureAwait(false);
        }
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    /// <summary>A VM whose keeper has died may have been taken over by its standby meanwhile, or is about to be.</summary>
    private async Task ForceWhereItWentAsync(VmView before, CancellationToken cancellation)
    {
        var now = await FindAsync(before.Name, cancellation).ConfigureAwait(false);
        if (now.ShallRun)
        {
            return; // A user has started it again meanwhile.
        }
        var holder = now.Role is { State: RoleState.Protected or RoleState.Taking, Standby: { } standby } ? standby.Host : (HostId?)null;
        var other = holder ?? HostOf(now);
        if (other == HostOf(before))
        {
            return;
        }
        if (holder is not null && await store.GetAsync(StoreKeys.Host(other), cancellation).ConfigureAwait(false) is null)
        {
            return; // Without its host's lease it wins no role. Should it come back and take over, its agent asks the guest to power down.
        }
        try
        {
            await AskKeeperAsync(other, now.Name, new KeeperRequest("stop", Force: true), AskWithin, cancellation).ConfigureAwait(false);
        }
        catch (KeeperAbsentException)
        {
            // Nor there.
        }
    }

    public async Task<VmDocument> ProtectAsync(VmName name, HostId? on, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        if (VmSpecReader.Read(view.Record!.SpecYaml, $"the spec of {name}").Availability != Availability.FaultTolerant)
        {
            throw new PolluxException($"the spec of {name} does not ask for fault tolerance", "define it with 'availability: faultTolerant'; one that is defined otherwise is stopped and deleted first");
        }
        if (view.Role is { State: RoleState.Protected, Standby: { } standby })
        {
            if (view.Record.Protect && (on is null || on == standby.Host))
            {
                if (on is not null && on != view.Record.PreferredStandby)
                {
                    await ChangeAsync(name, r => r with { PreferredStandby = on }, cancellation).ConfigureAwait(false);
                }
                return await VmAsync(name, cancellation).ConfigureAwait(false);
            }
            throw new PolluxException($"{name} is protected already, by {standby.Host}", "end that with 'pollux vm unprotect' to choose another host");
        }
        if (!view.ShallRun || view.Role is null)
        {
            throw new PolluxException($"{name} does not run", $"start it first: pollux vm start {name}");
        }
        var primary = view.Role.Primary.Host;
        var others = (await HostsAsync(cancellation).ConfigureAwait(false)).Where(h => h.Host != primary).Select(h => h.Host).ToList();
        if (others.Count == 0)
        {
            throw new PolluxException($"no other host than {primary} is alive", "see 'pollux host list'");
        }
        if (on is { } wanted && !others.Contains(wanted))
        {
            throw new PolluxException(wanted == primary ? $"{name} runs on {wanted} itself" : $"there is no live host {wanted}", $"choose {string.Join(", ", others)}");
        }
        await AskRunningAsync(primary, name, new KeeperRequest("protectable"), AskWithin, cancellation).ConfigureAwait(false);
        // Not when a standby is at hand already: the memory that it needs is then its own.
        if (view.Endpoints.Values.All(e => e.State == StandbyState.Failed))
        {
            await RequireReadyAsync(name, view.Record.SpecYaml, on is { } only ? [only] : others, cancellation).ConfigureAwait(false);
        }
        await ChangeAsync(name, r => r with { Protect = true, PreferredStandby = on ?? r.PreferredStandby }, cancellation).ConfigureAwait(false);
        TellWish(name, EventKinds.ProtectAsked, on is null ? "the user asked to protect it" : $"the user asked to protect it with a standby on {on}");
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    public async Task<VmDocument> UnprotectAsync(VmName name, CancellationToken cancellation)
    {
        await FindAsync(name, cancellation).ConfigureAwait(false);
        await ChangeAsync(name, r => r with { Protect = false }, cancellation).ConfigureAwait(false);
        TellWish(name, EventKinds.UnprotectAsked, "the user asked to end its protection");
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    public async Task<VmDocument> TakeOverAsync(VmName name, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        if (view.Role is not { State: RoleState.Protected } role)
        {
            throw new PolluxException($"{name} has no standby that could take over",
                view.Record!.Protect ? $"one is being prepared; wait for it: pollux vm show {name}" : $"protect it first: pollux vm protect {name}");
        }
        TellWish(name, EventKinds.TakeoverAsked, $"the user asked that {role.Standby!.Host} takes over from {role.Primary.Host}");
        await AskRunningAsync(role.Primary.Host, name, new KeeperRequest("takeover"), AskWithin, cancellation).ConfigureAwait(false);
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    public async Task<VmDocument> SetAsync(VmName name, ProtectionSettings settings, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        await AskRunningAsync(HostOf(view), name, new KeeperRequest("set", Settings: settings), StatusWithin, cancellation).ConfigureAwait(false);
        await ChangeAsync(name, r => r with { Settings = (r.Settings ?? new ProtectionSettings()).With(settings) }, cancellation).ConfigureAwait(false);
        TellWish(name, EventKinds.SettingsChanged, $"the user changed its protection: {Words(settings)}");
        if (view.Role?.Standby is { } standby)
        {
            await SetAtStandbyAsync(standby.Host, name, settings, cancellation).ConfigureAwait(false);
        }
        else if (view.Assignment is { } assignment && view.Endpoints.GetValueOrDefault(assignment.Host) is not { State: StandbyState.Failed })
        {
            await SetAtPreparingAsync(assignment.Host, name, settings, cancellation).ConfigureAwait(false);
        }
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    private async Task SetAtStandbyAsync(HostId host, VmName name, ProtectionSettings settings, CancellationToken cancellation)
    {
        try
        {
            await AskKeeperAsync(host, name, new KeeperRequest("set", Settings: settings), StatusWithin, cancellation).ConfigureAwait(false);
        }
        catch (KeeperAbsentException)
        {
            // The next one begins with what the record says.
        }
    }

    /// <summary>One that was begun with the record as it was, and does not listen yet, is waited for a little. Nothing stands by there otherwise.</summary>
    private async Task SetAtPreparingAsync(HostId host, VmName name, ProtectionSettings settings, CancellationToken cancellation)
    {
        for (var waited = TimeSpan.Zero; waited < PreparingWithin; waited += LookEvery)
        {
            try
            {
                await AskKeeperAsync(host, name, new KeeperRequest("set", Settings: settings), StatusWithin, cancellation).ConfigureAwait(false);
                return;
            }
            catch (KeeperAbsentException)
            {
                await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
            }
            catch (PolluxException)
            {
                return;
            }
        }
    }

    public async Task DeleteAsync(VmName name, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        var document = await DocumentAsync(view, null, cancellation).ConfigureAwait(false);
        if (view.ShallRun || document.State is not "stopped")
        {
            throw new PolluxException($"{name} is {document.State}", $"stop it first: pollux vm stop {name}");
        }
        foreach (var key in (string[])[StoreKeys.Vm(name), StoreKeys.Assignment(name), StoreKeys.Role(name), .. view.Endpoints.Keys.Select(h => StoreKeys.Endpoint(name, h))])
        {
            await store.DeleteAsync(key, cancellation).ConfigureAwait(false);
        }
        TellWish(name, EventKinds.Deleted, "the user deleted it");
    }

    private void TellWish(VmName name, string kind, string text) => events.Tell(name, kind, EventWeight.Info, text);

    private static string Words(ProtectionSettings settings) => string.Join(", ", new (string Name, string? Value)[]
    {
        ("trigger", settings.Trigger), ("transmission", settings.Transmission), ("interval", Milliseconds(settings.IntervalMs)),
        ("floor", Milliseconds(settings.FloorMs)), ("detection", Milliseconds(settings.DetectionMs)), ("compression", settings.Compression),
    }.Where(s => s.Value is not null).Select(s => $"{s.Name} {s.Value}"));

    private static string? Milliseconds(int? value) => value is null ? null : $"{value} ms";

    private async Task<VmView> FindAsync(VmName name, CancellationToken cancellation)
    {
        var view = StoreReader.Vm(name, await store.ListAsync($"{StoreKeys.Vms}{name}/", cancellation).ConfigureAwait(false));
        if (view.Damage is { } damage)
        {
            throw new PolluxException(damage);
        }
        return view.Record is not null ? view : throw new UnknownVmException(name);
    }

    private static HostId HostOf(VmView view) => view.Role?.Primary.Host ?? view.Record!.Home;

    /// <summary>Shows what the store says; while it does not answer, what it said last: the keepers' own words are fresh even then.</summary>
    private async Task<T> ShowAsync<T>(Func<Task<T>> now, Func<ClusterView, Task<T>> lastSeen)
    {
        // What has not answered for seconds is not waited for once more.
        if (loop.Seen is { } old && !store.IsAnswering)
        {
            return await lastSeen(old).ConfigureAwait(false);
        }
        try
        {
            return await now().ConfigureAwait(false);
        }
        catch (StoreUnavailableException) when (loop.Seen is not null)
        {
            return await lastSeen(loop.Seen).ConfigureAwait(false);
        }
    }

    private async Task<IReadOnlyList<VmDocument>> DocumentsAsync(IEnumerable<VmView> views, ClusterView? seen, CancellationToken cancellation) =>
        await Task.WhenAll(views.Where(v => v.Record is not null).OrderBy(v => v.Name.Value, StringComparer.Ordinal)
            .Select(v => DocumentAsync(v, seen, cancellation))).ConfigureAwait(false);

    /// <param name="seen">Where hosts are found while the store does not answer; null when it does.</param>
    private async Task<VmDocument> DocumentAsync(VmView view, ClusterView? seen, CancellationToken cancellation)
    {
        var host = HostOf(view);
        var sides = ((HostId?[])[host, view.Role?.Standby?.Host, view.Assignment?.Host]).OfType<HostId>().Distinct();
        var keepers = await Task.WhenAll(sides.Select(h => KeeperOnAsync(h, view.Name, seen, cancellation))).ConfigureAwait(false);
        var primary = keepers.FirstOrDefault(k => k.Host == host);
        var standby = keepers.FirstOrDefault(k => k.Host == view.Role?.Standby?.Host);
        var (state, note) = VmStates.Of(view, primary, standby, hasArbiter: seen is null);
        return new VmDocument(view.Name, state, note, host, view.Role?.Standby?.Host, view.Record!, view.Role, view.Assignment,
            [.. keepers.Where(k => k.Status is not null || k.Error is not null)]);
    }

    private async Task ChangeAsync(VmName name, Func<VmRecord, VmRecord> change, CancellationToken cancellation)
    {
        for (var attempt = 0; attempt < SwapAttempts; attempt++)
        {
            var entry = await store.GetAsync(StoreKeys.Vm(name), cancellation).ConfigureAwait(false) ?? throw new UnknownVmException(name);
            var record = JsonSerializer.Deserialize(entry.Value, StoreJson.Default.VmRecord)!;
            var changed = change(record);
            if (changed == record)
            {
                return;
            }
            switch (await store.SwapAsync(new Swap(entry.Key, entry.ModRevision, ToJson(changed)), cancellation).ConfigureAwait(false))
            {
                case SwapOutcome.Won:
                    loop.Wake();
                    return;
                case SwapOutcome.Unknown unknown:
                    throw new StoreUnavailableException(unknown.Why);
            }
        }
        throw new PolluxException($"{name} is being changed by others", "try again");
    }

    private static string ToJson(VmRecord record) => JsonSerializer.Serialize(record, StoreJson.Default.VmRecord);
}

internal sealed class UnknownVmException(VmName name) : PolluxException($"there is no VM named {name}", "see 'pollux vm list'");
