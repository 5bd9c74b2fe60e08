using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Qemu.Spec;

namespace Pollux.Agent.Api;

/// <content>What hosts are asked about their side of a VM: this one directly, another through its agent, never further.</content>
internal sealed partial class VmService
{
    /// <summary>Asks the keeper on this very host.</summary>
    public Task<KeeperResponse> LocalKeeperAsync(VmName name, KeeperRequest request, CancellationToken cancellation) =>
        LocalKeeperAsync(name, request, request.Do == "status" ? StatusWithin : AskWithin, cancellation);

    /// <summary>A stop by force ends also what a dead keeper left, and waits for a keeper that begins or is about to take charge of it.</summary>
    /// <exception cref="KeeperAbsentException">No keeper listens.</exception>
    private async Task<KeeperResponse> LocalKeeperAsync(VmName name, KeeperRequest request, TimeSpan within, CancellationToken cancellation)
    {
        for (var waited = TimeSpan.Zero; ; waited += LookEvery)
        {
            try
            {
                return await vms.ClientOf(name).AskAsync(request, within - waited, cancellation).ConfigureAwait(false);
            }
            catch (KeeperSilentException e) when (request is { Do: "stop", Force: true } && e.InnerException is not OperationCanceledException && waited < TakeChargeWithin)
            {
                // It died before it had answered: the next one is asked, or what it left is cleared.
            }
            catch (KeeperAbsentException) when (request is { Do: "stop", Force: true })
            {
                await ClearRemainsAsync(name, cancellation).ConfigureAwait(false);
                // One that begins has no QEMU yet.
                if (!vms.HasQemu(name) && !(await vms.LookAsync(name, cancellation).ConfigureAwait(false)).KeeperLives)
                {
                    throw;
                }
                if (waited >= TakeChargeWithin)
                {
                    throw new PolluxException($"{name} is not stopped: its keeper begins, and does not answer yet", $"try again in a moment: pollux vm stop {name} --force");
                }
            }
            await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ClearRemainsAsync(VmName name, CancellationToken cancellation)
    {
        if (await vms.LookAsync(name, cancellation).ConfigureAwait(false) is not { KeeperLives: false, HasRemains: true })
        {
            return;
        }
        try
        {
            await vms.ClearAsync(name).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or LinuxException)
        {
            // The agent begins a keeper there, or clears it, at this very moment.
        }
    }

    /// <summary>What this very host knows of its side of a VM.</summary>
    public async Task<KeeperOnHost> SideAsync(VmName name, CancellationToken cancellation)
    {
        var memory = loop.MemoryOf(name);
        var side = new KeeperOnHost(config.Host, null, null, Said(memory.Note), Said(memory.StartFailure));
        try
        {
            var status = await vms.ClientOf(name).TryStatusAsync(cancellation).ConfigureAwait(false);
            return side with { Status = status, Orphaned = status is null && vms.HasQemu(name) };
        }
        catch (Exception e) when (e is PolluxException or IOException)
        {
            return side with { Error = (e as PolluxException)?.Problem ?? e.Message };
        }
    }

    /// <summary>Whether this very host could run a VM.</summary>
    /// <exception cref="PolluxException">It could not.</exception>
    public void CheckReadiness(ReadinessRequest request) => HostReadiness.Check(ReadSpec(request.SpecYaml), config);

    private static VmSpec ReadSpec(string? yaml) =>
        VmSpecReader.Read(yaml ?? throw new PolluxException("a VM needs a member 'specYaml'"), "spec");

    private static string? Said(string words) => words.Length == 0 ? null : words;

    /// <summary>One of the hosts must be able to stand by: refused before anything is begun.</summary>
    private async Task RequireReadyAsync(VmName name, string specYaml, IReadOnlyList<HostId> hosts, CancellationToken cancellation)
    {
        var refusals = await Task.WhenAll(hosts.Select(h => RefusalOfAsync(h, specYaml, cancellation))).ConfigureAwait(false);
        if (!refusals.Contains(null))
        {
            throw refusals is [var only] ? only! : new PolluxException($"no host can stand by for {name}: {string.Join("; ", refusals.Select(r => r!.Problem))}");
        }
    }

    private async Task<PolluxException?> RefusalOfAsync(HostId host, string specYaml, CancellationToken cancellation)
    {
        try
        {
            if (host == config.Host)
            {
                CheckReadiness(new ReadinessRequest(specYaml));
                return null;
            }
            var peer = await peers.OfAsync(host, cancellation).ConfigureAwait(false);
            await peer.CheckAsync(specYaml, StatusWithin, cancellation).ConfigureAwait(false);
            return null;
        }
        catch (PolluxException e)
        {
            return e;
        }
    }

    /// <summary>Asks something that only a VM that runs can do.</summary>
    private async Task AskRunningAsync(HostId host, VmName name, KeeperRequest request, TimeSpan within, CancellationToken cancellation)
    {
        try
        {
            await AskKeeperAsync(host, name, request, within, cancellation).ConfigureAwait(false);
        }
        catch (KeeperAbsentException e)
        {
            throw new PolluxException($"{name} does not run", $"start it first: pollux vm start {name}", e);
        }
    }

    private async Task<KeeperResponse> AskKeeperAsync(HostId host, VmName name, KeeperRequest request, TimeSpan within, CancellationToken cancellation)
    {
        if (host == config.Host)
        {
            return await LocalKeeperAsync(name, request, within, cancellation).ConfigureAwait(false);
        }
        var peer = await peers.OfAsync(host, cancellation).ConfigureAwait(false);
        return await peer.KeeperAsync(name, request, within, cancellation).ConfigureAwait(false);
    }

    private async Task<KeeperOnHost> KeeperOnAsync(HostId host, VmName name, ClusterView? seen, CancellationToken cancellation)
    {
        try
        {
            if (host == config.Host)
            {
                return await SideAsync(name, cancellation).ConfigureAwait(false);
            }
            var peer = seen?.Hosts.GetValueOrDefault(host) is { } record ? peers.Of(record) : await peers.OfAsync(host, cancellation).ConfigureAwait(false);
            return await peer.SideAsync(name, StatusWithin, cancellation).ConfigureAwait(false);
        }
        catch (PolluxException e) when (e is OutcomeUnknownException or AgentUnreachableException)
        {
            return new KeeperOnHost(host, null, $"{host} does not answer");
        }
        catch (PolluxException e) when (e is not StoreUnavailableException)
        {
            return new KeeperOnHost(host, null, e.Problem);
        }
    }
}
