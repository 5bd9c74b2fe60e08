using System.Collections.Concurrent;
using System.Text.Json;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Api;
using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Api;

/// <content>Live migration: a keeper waits on the destination, the one on the source is told of it.</content>
internal sealed partial class VmService
{
    private static readonly TimeSpan PrepareWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan EndWithin = TimeSpan.FromSeconds(5);
    private readonly ConcurrentDictionary<VmName, byte> _receiving = new();
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(50);

    /// <summary>Begins to move a running VM; how it goes is in its document.</summary>
    public async Task<VmDocument> MigrateAsync(VmName name, MigrateRequest request, CancellationToken cancellation)
    {
        request.Settings?.Check();
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        if (request.To != config.Host)
        {
            await peers.OfAsync(request.To, cancellation).ConfigureAwait(false); // Advice that names a host is of no use where there is none.
        }
        if (!view.ShallRun || view.Role is not { } role)
        {
            throw new PolluxException($"{name} does not run", $"start it first: pollux vm start {name}");
        }
        if (role.State == RoleState.Stopped)
        {
            throw new PolluxException($"{name} does not run yet", $"wait until it does: pollux vm show {name}");
        }
        if (await MoveUnderWayAsync(name, role.Primary.Host, cancellation).ConfigureAwait(false) is { } other)
        {
            throw new PolluxException($"{name} moves to {other} already", $"wait until it has; or end that: pollux vm migrate {name} --cancel");
        }
        if (role.Primary.Host == request.To)
        {
            throw new PolluxException($"{name} runs on {request.To} already", "choose another host: pollux host list");
        }
        if (view.Record!.Protect || role.State != RoleState.Running)
        {
            throw new PolluxException($"{name} is protected, or shall be, and moves by its standby", Advice(name, role, request.To));
        }
        if (await RefusalOfAsync(request.To, view.Record.SpecYaml, cancellation).ConfigureAwait(false) is { } refusal)
        {
            throw refusal;
        }
        var target = await PrepareAsync(request.To, name, new DestinationRequest(view.Record.SpecYaml, view.Record.Settings), cancellation).ConfigureAwait(false);
        try
        {
            await AskRunningAsync(role.Primary.Host, name, new KeeperRequest("migrate", target, Migration: request.Settings), AskWithin, cancellation).ConfigureAwait(false);
        }
        catch
        {
            await SendAwayAsync(request.To, name).ConfigureAwait(false);
            throw;
        }
        TellWish(name, EventKinds.MigrateAsked, $"the user asked to move it from {role.Primary.Host} to {request.To}");
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    private async Task<HostId?> MoveUnderWayAsync(VmName name, HostId host, CancellationToken cancellation) =>
        (await VmAsync(name, cancellation).ConfigureAwait(false)).Keepers.FirstOrDefault(k => k.Host == host)?.Status?.Migration is { State: MigrationState.Moving } move ? move.To : null;

    public async Task<VmDocument> CancelMigrationAsync(VmName name, CancellationToken cancellation)
    {
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        await AskRunningAsync(HostOf(view), name, new KeeperRequest("migrate-cancel"), AskWithin, cancellation).ConfigureAwait(false);
        return await VmAsync(name, cancellation).ConfigureAwait(false);
    }

    /// <summary>Starts a keeper on this very host to which the VM can move, and waits until it listens.</summary>
    public async Task<StandbyTarget> ReceiveAsync(VmName name, DestinationRequest request, CancellationToken cancellation)
    {
        CheckReadiness(new ReadinessRequest(request.SpecYaml));
        if (!_receiving.TryAdd(name, 0))
        {
            throw new PolluxException($"{config.Host} prepares to take {name} in already", $"see 'pollux vm show {name}'");
        }
        try
        {
            return await ReceiveAloneAsync(name, request, cancellation).ConfigureAwait(false);
        }
        finally
        {
            _receiving.TryRemove(name, out _);
        }
    }

    private async Task<StandbyTarget> ReceiveAloneAsync(VmName name, DestinationRequest request, CancellationToken cancellation)
    {
        var local = await vms.LookAsync(name, cancellation).ConfigureAwait(false);
        // One that is ending, or that the agent itself looks at just now, is gone in a moment.
        for (var waited = TimeSpan.Zero; local.KeeperLives; waited += LookEvery)
        {
            if (waited > EndWithin)
            {
                throw new PolluxException($"{config.Host} has a keeper of {name} already", $"wait until it has ended; see 'pollux vm show {name}'");
            }
            await Task.Delay(LookEvery, cancellation).ConfigureAwait(false);
            local = await vms.LookAsync(name, cancellation).ConfigureAwait(false);
        }
        // Read now, and not before: it may have moved here meanwhile.
        var view = await FindAsync(name, cancellation).ConfigureAwait(false);
        if (view.Role?.Primary.Host == config.Host || local.OrphanLives)
        {
            throw new PolluxException($"{name} is {config.Host}'s already, or may be: its QEMU lives there", $"see 'pollux vm show {name}', and try again");
        }
        if (local.HasRemains)
        {
            await vms.ClearAsync(name).ConfigureAwait(false);
        }
        var attempt = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(PrepareWithin);
        var deadFor = TimeSpan.Zero; // it may not have begun yet
        try
        {
            await loop.StartAsync(new AgentAction.StartKeeper(name, KeeperStart.Destination, request.SpecYaml!, attempt, request.Settings), cancellation).ConfigureAwait(false);
            while (true)
            {
                switch (await EndpointAsync(name, attempt, patience.Token).ConfigureAwait(false))
                {
                    case { State: StandbyState.Ready } ready:
                        return new StandbyTarget(ready.Host, ready.Incarnation, ready.Address, ready.Port);
                    case { State: StandbyState.Failed } failed:
                        throw new PolluxException($"{config.Host} cannot take {name} in: {failed.Why}");
                }
                var seen = await vms.LookAsync(name, patience.Token).ConfigureAwait(false);
                deadFor = seen.KeeperLives ? TimeSpan.Zero : deadFor + LookEvery;
                if (deadFor > EndWithin)
                {
                    throw new PolluxException($"{config.Host} cannot take {name} in: {seen.LastWords}");
                }
                await Task.Delay(LookEvery, patience.Token).ConfigureAwait(false);
            }
        }
        catch (PolluxException)
        {
            await SendAwayAsync(config.Host, name).ConfigureAwait(false);
            throw;
        }
        catch (OperationCanceledException)
        {
            await SendAwayAsync(config.Host, name).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested(); // Who asked for it does not wait any more.
            throw new PolluxException($"{config.Host} was not ready to take {name} in within {PrepareWithin.TotalSeconds:0} s", "try again; its host may be overloaded");
        }
    }

    private static string Advice(VmName name, Role role, HostId to) => role.Standby?.Host == to
        ? $"let its standby on {to} take over: pollux vm takeover {name}"
        : $"give it a standby there, and let that take over: pollux vm unprotect {name}; pollux vm protect {name} --on {to}; pollux vm takeover {name}";

    private async Task<StandbyTarget> PrepareAsync(HostId host, VmName name, DestinationRequest request, CancellationToken cancellation)
    {
        if (host == config.Host)
        {
            return await ReceiveAsync(name, request, cancellation).ConfigureAwait(false);
        }
        var peer = await peers.OfAsync(host, cancellation).ConfigureAwait(false);
        return await peer.ReceiveAsync(name, request, AskWithin, cancellation).ConfigureAwait(false);
    }

    private async Task<StandbyEndpoint?> EndpointAsync(VmName name, long attempt, CancellationToken cancellation) =>
        await store.GetAsync(StoreKeys.Endpoint(name, config.Host), cancellation).ConfigureAwait(false) is { } entry
        && JsonSerializer.Deserialize(entry.Value, StoreJson.Default.StandbyEndpoint) is { } endpoint && endpoint.Attempt == attempt ? endpoint : null;

    /// <summary>
    /// A keeper to which nobody comes also leaves by itself. Whether the source has begun is not always known here, and the guest may have landed: so this is
    /// no stop, which would end it.
    /// </summary>
    private async Task SendAwayAsync(HostId host, VmName name)
    {
        try
        {
            await AskKeeperAsync(host, name, new KeeperRequest("send-away"), StatusWithin, CancellationToken.None).ConfigureAwait(false);
        }
        catch (PolluxException)
        {
            // Gone, or it will be.
        }
    }
}
