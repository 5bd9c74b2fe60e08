using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Keeper.Standby;
using Pollux.Replication.Pair;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <content>The side that waits, and takes over.</content>
internal sealed partial class KeeperProcess
{
    private static readonly TimeSpan RunningWithin = TimeSpan.FromSeconds(5);
    private StandbySide? _standby;

    /// <summary>What the guest had said last, and the world may not have heard.</summary>
    private IReadOnlyList<byte[]> _unheard = [];

    private void DoForStandby(PairEffect effect)
    {
        switch (effect)
        {
            case PairEffect.TellDismiss dismiss:
                _session?.Tell(FrameType.Dismiss, 0, dismiss.Why);
                _standby?.Service.Dismiss(dismiss.Why);
                break;
            case PairEffect.Acknowledge acknowledge:
                _standby!.Service.Acknowledge(acknowledge.UpTo);
                break;
            case PairEffect.Rehearse:
                Beside(RehearseAsync, e => new PairEvent.RehearsalFailed(e.Message));
                break;
            case PairEffect.Load load:
                Beside(() => LoadAsync(load.Epoch), e => new PairEvent.LoadFailed(e.Message));
                break;
            default:
                throw new InvalidOperationException($"no such effect: {effect}");
        }
    }

    private async Task BecomeStandbyAsync(CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _leaving.Token);
        try
        {
            await TellEndpointAsync(StandbyState.Preparing, 0, null).ConfigureAwait(false);
            _standby = await StandbySide.PrepareAsync(_machine, _me, _tls, e => _loop.Post(e), AttachAsync, end.Token).ConfigureAwait(false);
            _guest = _standby.Guest;
            end.Token.ThrowIfCancellationRequested();
            await TellEndpointAsync(StandbyState.Ready, _standby.Service.Port, null).ConfigureAwait(false);
        }
        catch (Exception e) when (e is PolluxException or IOException or SocketException || (e is OperationCanceledException && _leaving.IsCancellationRequested))
        {
            KeeperLog.Say($"cannot stand by: {e.Message}");
            // Nobody's dismissal: the store may have taken in that this standby is ready, and its primary has been here since.
            _loop.Post(new PairEvent.SentAway(e.Message));
        }
    }

    private Task TellEndpointAsync(StandbyState state, int port, string? why)
    {
        var endpoint = new StandbyEndpoint(
            _me.Host, _me.Incarnation, _machine.Config.Attempt, _machine.Config.ListenAddress, port, state, why);
        return _store.PutAsync(
            StoreKeys.Endpoint(_machine.Spec.Name, _me.Host),
            System.Text.Json.JsonSerializer.Serialize(endpoint, StoreJson.Default.StandbyEndpoint), _machine.Config.LeaseId, CancellationToken.None);
    }

    private async Task RehearseAsync()
    {
        await _standby!.RehearseAsync().ConfigureAwait(false);
        _loop.Post(new PairEvent.Rehearsed());
    }

    private async Task LoadAsync(Epoch epoch)
    {
        var standby = _standby!;
        await standby.LoadAsync(epoch).ConfigureAwait(false);
        FaultPoint.Pass(FaultPoints.Loaded);
        await RequireRunningAsync(standby.Guest).ConfigureAwait(false);
        standby.Guest.Replay(standby.Service.Ingress.TakeAfter(epoch));
        standby.Guest.Listen();
        _unheard = standby.Service.Egress.TakeUpTo(epoch);
        _loop.Post(new PairEvent.Loaded());
    }

    /// <summary>
    /// Once more, as late as can be: after the swap to <c>running</c> the old primary is thrown away, and a QEMU that is being killed, or hangs, tells
    /// nobody. A guest that had shut down before the cut does not run either.
    /// </summary>
    /// <exception cref="PolluxException">It does not run.</exception>
    private async Task RequireRunningAsync(Guest guest)
    {
        using var patience = new WatchedPatience(RunningWithin, _leaving.Token);
        try
        {
            string? status;
            do
            {
                var answer = await guest.Qmp.ExecuteAsync("query-status", null, patience.Token).ConfigureAwait(false);
                status = answer.GetProperty("status").GetString();
            }
            while (status is "inmigrate" or "paused" && !patience.Token.IsCancellationRequested);
            if (status != "running")
            {
                throw new PolluxException($"the guest does not run after its state was loaded: QEMU says '{status}'");
            }
        }
        catch (OperationCanceledException) when (!_leaving.IsCancellationRequested)
        {
            throw new PolluxException($"QEMU does not run the guest within {RunningWithin.TotalSeconds:0.#} s after its state was loaded");
        }
    }

    private void OpenNetwork()
    {
        var guest = _guest!;
        guest.SayAgain(_unheard);
        _unheard = [];
        guest.Egress.Pass();
        _ = Task.Run(() => guest.AnnounceAsync(_leaving.Token));
        _ = Task.Run(async () =>
        {
            await CloseStandbyAsync().ConfigureAwait(false);
            await ForgetEndpointAsync().ConfigureAwait(false);
        });
    }
}
