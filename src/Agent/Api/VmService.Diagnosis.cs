using Pollux.Agent.Diagnosis;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Spec;

namespace Pollux.Agent.Api;

/// <content>Why a VM is not protected: collects what <see cref="ProtectionDoctor"/> looks at, from whoever knows it.</content>
internal sealed partial class VmService
{
    public async Task<ProtectionDiagnosis> DiagnoseAsync(VmName name, CancellationToken cancellation)
    {
        var view = await ShowAsync(
            async () => StoreReader.Vm(name, await store.ListAsync($"{StoreKeys.Vms}{name}/", cancellation).ConfigureAwait(false)),
            seen => Task.FromResult(seen.Vms.GetValueOrDefault(name) ?? VmView.Unknown(name))).ConfigureAwait(false);
        return view is { Record: null, Damage: null } ? throw new UnknownVmException(name) : ProtectionDoctor.Examine(await CollectAsync(view, cancellation).ConfigureAwait(false));
    }

    /// <summary>Of every VM that shall be protected.</summary>
    public async Task<IReadOnlyList<ProtectionDiagnosis>> DiagnoseAllAsync(CancellationToken cancellation)
    {
        var views = await ShowAsync(
            async () => StoreReader.Vms(await store.ListAsync(StoreKeys.Vms, cancellation).ConfigureAwait(false)),
            seen => Task.FromResult(seen.Vms)).ConfigureAwait(false);
        var facts = await Task.WhenAll(views.Values.Where(v => v.Damage is not null || v is { ShallRun: true, Record.Protect: true })
            .OrderBy(v => v.Name.Value, StringComparer.Ordinal).Select(v => CollectAsync(v, cancellation))).ConfigureAwait(false);
        return [.. facts.Select(ProtectionDoctor.Examine)];
    }

    private async Task<ProtectionFacts> CollectAsync(VmView view, CancellationToken cancellation)
    {
        var hasMajority = store.IsAnswering;
        var seen = hasMajority ? null : loop.Seen;
        var alive = seen?.Hosts ?? (await HostsAsync(cancellation).ConfigureAwait(false)).ToDictionary(h => h.Host);
        var spec = SpecOf(view);
        var facts = new ProtectionFacts(view, spec, config.Host, hasMajority, etcd.Members, alive, [], null, new Dictionary<HostId, Obstacle?>());
        if (view.Record is null || spec.Problem is not null)
        {
            return facts;
        }
        HostId?[] parts = [facts.Primary, view.Role?.Standby?.Host, view.Assignment?.Host];
        var sides = await Task.WhenAll(parts.OfType<HostId>().Distinct().Select(h => KeeperOnAsync(h, view.Name, seen, cancellation))).ConfigureAwait(false);
        // What stands by already, or is about to, has its memory.
        var free = alive.Keys.Where(h => h != facts.Primary && sides.FirstOrDefault(s => s.Host == h)?.Status is null).ToList();
        var lacks = seen is null ? await Task.WhenAll(free.Select(h => RefusalOfAsync(h, view.Record.SpecYaml, cancellation))).ConfigureAwait(false) : [];
        return facts with
        {
            Sides = sides,
            Readiness = free.Zip(lacks).ToDictionary(p => p.First, p => ObstacleOn(p.First, p.Second)),
            Unprotectable = await ObjectionOfQemuAsync(sides.FirstOrDefault(s => s.Host == facts.Primary), view.Name, cancellation).ConfigureAwait(false),
        };
    }

    private Obstacle? ObstacleOn(HostId host, PolluxException? refusal) => refusal switch
    {
        null => null,
        OutcomeUnknownException or AgentUnreachableException => new Obstacle(
            $"its agent does not answer {config.Host}, though its lease is alive", $"check the cluster's network between {config.Host} and {host}, and polluxd on {host}"),
        _ => Obstacle.Of(refusal),
    };

    private static SpecFacts SpecOf(VmView view)
    {
        if (view.Record is null)
        {
            return new SpecFacts(false, false, view.Damage);
        }
        try
        {
            var spec = VmSpecReader.Read(view.Record.SpecYaml, $"the spec of {view.Name}");
            return new SpecFacts(spec.Availability == Availability.FaultTolerant, spec.Accelerator is not (Accelerator.Kvm or Accelerator.Tcg), null);
        }
        catch (PolluxException e)
        {
            return new SpecFacts(false, false, e.Problem);
        }
    }

    /// <summary>Only a guest that runs alone can be asked.</summary>
    private async Task<Obstacle?> ObjectionOfQemuAsync(KeeperOnHost? side, VmName name, CancellationToken cancellation)
    {
        if (side is not { Status: { Side: "primary", Phase: "running" } })
        {
            return null;
        }
        try
        {
            await AskKeeperAsync(side.Host, name, new KeeperRequest("protectable"), StatusWithin, cancellation).ConfigureAwait(false);
            return null;
        }
        catch (PolluxException e) when (e is not (OutcomeUnknownException or KeeperAbsentException or StoreUnavailableException))
        {
            // A keeper's error is one sentence with its next step in it.
            var at = e.Problem.LastIndexOf("; ", StringComparison.Ordinal);
            return at < 0 ? Obstacle.Of(e) : new Obstacle(e.Problem[..at], e.Problem[(at + 2)..]);
        }
        catch (PolluxException)
        {
            return null; // Not its objection; whoever does not answer is told of elsewhere.
        }
    }
}
