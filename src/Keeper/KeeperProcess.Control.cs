using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper.Primary;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Spec;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <content>What the agent may ask over the control socket.</content>
internal sealed partial class KeeperProcess
{
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan PowerDownWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan TakeChargeWithin = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan QemuAnswersWithin = TimeSpan.FromSeconds(10);

    /// <summary>Orders to power down that the guest may be about, of users and of the agent; also those of the keeper before.</summary>
    private readonly Lock _powerDowns = new();
    private int _powerDownsAsked;

    /// <summary>Why a protection has ended since this was set to null: a new one may be under way before anybody looks.</summary>
    private volatile string? _aloneAgain;

    private async Task<KeeperResponse> AnswerAsync(KeeperRequest request, CancellationToken cancellation)
    {
        await (request.Do switch
        {
            "status" => Task.CompletedTask,
            "protect" => ProtectAsync(request, cancellation),
            "protectable" => WithinAsync(RequireProtectableAsync, cancellation),
            "unprotect" => UnprotectAsync(cancellation),
            "takeover" => TakeOverAsync(cancellation),
            "migrate" => MigrateAsync(request, cancellation),
            "migrate-cancel" => CancelMoveAsync(cancellation),
            "send-away" => SendAwayAsync(),
            "set" => ChangeAsync(request),
            "stop" => StopAsync(request.Force, cancellation),
            _ => throw new PolluxException($"'{request.Do}' is no request", "status, protectable, protect, unprotect, takeover, migrate, migrate-cancel, send-away, set or stop"),
        }).ConfigureAwait(false);
        return new KeeperResponse(null, Status());
    }

    private async Task ProtectAsync(KeeperRequest request, CancellationToken cancellation)
    {
        var target = request.Standby ?? throw new PolluxException("protect needs a member 'standby'");
        var state = _loop.State;
        if (state.Peer?.Incarnation == target.Incarnation && !state.IsStandby)
        {
            return; // asked twice
        }
        if (state.Phase != PairPhase.Alone || _guest is null)
        {
            throw new PolluxException($"{_machine.Spec.Name} cannot be given a standby while it is {PhaseName(state)}: {state.Reason}");
        }
        await WithinAsync(
            async patience =>
            {
                await Task.WhenAny(_sessionEnded).WaitAsync(patience).ConfigureAwait(false); // however it ended
                await RequireProtectableAsync(patience).ConfigureAwait(false);
            }, cancellation).ConfigureAwait(false);
        if (_machine.Spec.Availability != Availability.FaultTolerant)
        {
            throw new PolluxException($"the spec of {_machine.Spec.Name} does not ask for fault tolerance", "set availability: faultTolerant");
        }
        Volatile.Write(ref _target, target);
        _loop.Post(new PairEvent.ProtectRequested(new Member(target.Host, target.Incarnation)));
    }

    /// <summary>QEMU may hang. Who asked has left by then, but the order would keep its place among those that are answered, and at last no stop would find one.</summary>
    private static async Task WithinAsync(Func<CancellationToken, Task> ask, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(QemuAnswersWithin);
        try
        {
            await ask(patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new PolluxException($"QEMU does not answer within {QemuAnswersWithin.TotalSeconds:0} s", "if it hangs for good, 'pollux vm stop --force' ends it");
        }
    }

    /// <summary>Only a guest that runs alone can be asked: once it is checkpointed the answer is known.</summary>
    private Task RequireProtectableAsync(CancellationToken cancellation) => _loop.State.Phase == PairPhase.Alone && _guest is { } guest
        ? CheckpointChannel.RequireAbleAsync(guest.Qmp, _machine.Version, cancellation)
        : Task.CompletedTask;

    private async Task UnprotectAsync(CancellationToken cancellation)
    {
        if (_loop.State.Phase is PairPhase.Alone or PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding)
        {
            return;
        }
        RequirePrimary("unprotect");
        _loop.Post(new PairEvent.UnprotectRequested());
        await UntilAsync(s => s.Phase is PairPhase.Alone or PairPhase.Gone, cancellation).ConfigureAwait(false);
    }

    /// <summary>Answers when the other side runs the guest, or why it does not.</summary>
    private async Task TakeOverAsync(CancellationToken cancellation)
    {
        RequirePrimary("take over");
        _aloneAgain = null;
        // A host that was late asks for the role first: it is protected all the same, in a moment.
        await UntilAsync(s => s.Phase != PairPhase.Verifying, cancellation).ConfigureAwait(false);
        var state = _loop.State;
        if (state.Phase != PairPhase.Protected)
        {
            throw new PolluxException($"{_machine.Spec.Name} has no standby that could take over: it is {PhaseName(state)}{Because(state)}", "protect it first: pollux vm protect");
        }
        _loop.Post(new PairEvent.TakeoverRequested());
        await UntilAsync(s => s.Phase == PairPhase.Gone || _aloneAgain is not null, cancellation).ConfigureAwait(false);
        if (_aloneAgain is { } why)
        {
            throw new PolluxException($"the takeover failed and the guest runs on here, unprotected: {why}");
        }
    }

    private Task ChangeAsync(KeeperRequest request)
    {
        var tuning = _tuning.With(request.Settings ?? throw new PolluxException("set needs a member 'settings'"));
        _tuning = tuning;
        _standby?.Service.SetDetection(tuning.DetectionMs);
        if (_session is { } session)
        {
            session.Change(tuning.TriggerSettings, tuning.Transmission);
            session.SetDetection(tuning.DetectionMs);
            session.SetCompression(tuning.Compression);
        }
        return Task.CompletedTask;
    }

    /// <summary>Asks the guest to power down, or kills it. Answers when it is gone.</summary>
    private async Task StopAsync(bool force, CancellationToken cancellation)
    {
        for (var waited = TimeSpan.Zero; !force && IsTakingCharge(_loop.State) && waited < TakeChargeWithin; waited += PollEvery)
        {
            await Task.Delay(PollEvery, cancellation).ConfigureAwait(false);
        }
        if (!force && IsTakingCharge(_loop.State))
        {
            throw new PolluxException($"{_machine.Spec.Name} runs, but cannot be asked to power down yet: its keeper has died, and another one takes charge", "try again in a moment, or stop it with --force");
        }
        if (force || _loop.State.IsStandby || _guest is null)
        {
            Stop();
            await UntilAsync(s => s.Phase == PairPhase.Gone, cancellation).ConfigureAwait(false);
            return;
        }
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(PowerDownWithin);
        BeginPowerDown();
        try
        {
            await _guest.Qmp.ExecuteAsync("system_powerdown", null, patience.Token).ConfigureAwait(false);
            await UntilAsync(s => s.Phase == PairPhase.Gone, patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new PolluxException($"the guest did not power down within {PowerDownWithin.TotalSeconds:F0} s", "stop it with --force");
        }
        finally
        {
            ForgetPowerDown();
        }
    }

    /// <summary>The guest was asked by the keeper that died, and may be about it.</summary>
    private async Task InheritPowerDownAsync()
    {
        BeginPowerDown();
        await Task.Delay(PowerDownWithin, _leaving.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        ForgetPowerDown();
    }

    private void BeginPowerDown()
    {
        lock (_powerDowns)
        {
            _powerDownsAsked++;
            NotePowerDown(true);
        }
    }

    /// <summary>What the guest does after the last of them it does by itself, unless it ends already.</summary>
    private void ForgetPowerDown()
    {
        lock (_powerDowns)
        {
            if (--_powerDownsAsked == 0 && _loop.State.Phase is not (PairPhase.Stopping or PairPhase.Gone))
            {
                NotePowerDown(false);
            }
        }
    }

    /// <summary>That it cannot be read must not end the only copy of the guest.</summary>
    private bool WasPowerDownAsked()
    {
        try
        {
            return _machine.Directory.ReadRecord() is { PowerDownAsked: true };
        }
        catch (Exception e) when (e is PolluxException or IOException or UnauthorizedAccessException)
        {
            KeeperLog.Say($"cannot read whether its guest was asked to power down: {e.Message}");
            return false;
        }
    }

    /// <summary>For the next keeper, should this one die. That it cannot be written must not keep the guest from being asked.</summary>
    private void NotePowerDown(bool asked)
    {
        _powerDownAsked = asked;
        try
        {
            _machine.Directory.NotePowerDown(asked);
        }
        catch (Exception e) when (e is PolluxException or IOException or UnauthorizedAccessException)
        {
            KeeperLog.Say($"cannot note that its guest was asked to power down: {e.Message}");
        }
    }

    /// <summary>The guest runs, and cannot be spoken to yet: its keeper has died, and this is the next one.</summary>
    private bool IsTakingCharge(PairState state) =>
        _guest is null && _machine.Config.Start == KeeperStart.Adopt && state.Phase is PairPhase.Claiming or PairPhase.Alone;

    private void RequirePrimary(string what)
    {
        if (_loop.State.IsStandby)
        {
            throw new PolluxException($"{_me.Host} holds the standby of {_machine.Spec.Name} and cannot {what}", "ask the host that runs it");
        }
    }

    private async Task UntilAsync(Func<PairState, bool> reached, CancellationToken cancellation)
    {
        while (!reached(_loop.State))
        {
            await Task.Delay(PollEvery, cancellation).ConfigureAwait(false);
        }
    }

    private KeeperStatus Status()
    {
        var state = _loop.State;
        var guest = _guest;
        var session = _session;
        var network = guest?.Count() ?? default;
        var pool = session?.Pool ?? _standby?.Pool;
        return new KeeperStatus(
            _machine.Spec.Name, _me.Host, _me.Incarnation, Environment.ProcessId, guest is { HasExited: false } ? guest.Process.Pid : null,
            state.IsDestination ? "destination" : state.IsStandby ? "standby" : "primary", PhaseName(state), NoteOf(state), state.Role,
            _machine.Version.ToString(), _machine.Accelerator == Accelerator.Kvm ? "kvm" : "tcg",
            session?.Stats.Status() ?? new CheckpointStatus(0, state.IsStandby ? state.Acknowledged.Value : 0, 0, new(0, 0, 0), new(0, 0, 0)),
            pool is null ? new BufferStatus(0, 0, 0, 0) : new BufferStatus(
                pool.UsedBytes, pool.AllocatedBytes, pool.CeilingBytes, session?.Waits ?? pool.Waits, pool.PeakBytes, pool.TargetBytes),
            new NetworkStatus(network.Held, network.Released, network.Dropped, network.Ingress, network.Replayed, network.Repeated, _cutOff),
            _takeover.Last, _tuning.ToSettings(), _store.IsAnswering, ScrubStatus(), ShippingStatus(session), MoveStatus());
    }

    private ShippingStatus? ShippingStatus(ProtectionSession? session)
    {
        if (session?.Shipping is not { } counts)
        {
            return null;
        }
        var (captured, shipped, sent) = _linkRate.PerSecond();
        return new ShippingStatus(
            counts.CapturedBytes, counts.ShippedBytes, counts.UnchangedPages, counts.ZeroPages, counts.PartPages, counts.WholePages, counts.TableBytes, captured, shipped,
            session.Pieces is { } pieces ? LinkStatus(pieces, sent) : null);
    }

    private static LinkStatus LinkStatus(EpochFrames pieces, double sentPerSecond)
    {
        var counts = pieces.Counts;
        return new LinkStatus(
            pieces.IsCompressing, counts.Bytes, counts.SentBytes, counts.FirstBytes, counts.FirstSentBytes,
            counts.MemoryFrames, counts.DeviceFrames, counts.CompressedMemoryFrames, counts.CompressedDeviceFrames, sentPerSecond, pieces.CannotCompress);
    }

    private ScrubStatus? ScrubStatus()
    {
        if (_standby is { } standby)
        {
            return standby.Service.Alarms.Status(standby.Service.ScrubbedPages, 0);
        }
        var (pages, rounds) = _session?.Scrubbed ?? default;
        var status = _scrubAlarms.Status(pages, rounds);
        return status is { Pages: 0, Alarms: 0 } ? null : status;
    }

    /// <summary>What waits for the role waits for the arbiter, when there is none.</summary>
    private string NoteOf(PairState state) => state.Phase switch
    {
        var phase when WaitsForRole(phase) && !_store.IsAnswering => $"waits for an arbiter: {state.Pending?.Next.Reason ?? state.Reason}",
        PairPhase.Protected or PairPhase.Alone when _cutOff is { } cutOff => cutOff,
        PairPhase.Protected when _scrubAlarms.Count > 0 => $"a standby with wrong memory was replaced, {_scrubAlarms.Count} so far",
        _ => state.Reason,
    };

    private static bool WaitsForRole(PairPhase phase) => phase is
        PairPhase.Claiming or PairPhase.Verifying or PairPhase.Protecting or PairPhase.GoingSolo or PairPhase.Frozen or PairPhase.Stopping
        or PairPhase.HandedOff or PairPhase.Deciding or PairPhase.Taking or PairPhase.Confirming or PairPhase.SwappingBack or PairPhase.Landing or PairPhase.Returning;

    private static string Because(PairState state) => state.Reason.Length == 0 ? "" : $" ({state.Reason})";

    private string PhaseName(PairState state) => state.Phase switch
    {
        PairPhase.Claiming => "starting",
        PairPhase.Alone => _guest is null ? "starting" : "running",
        PairPhase.Syncing or PairPhase.Protecting => "syncing",
        PairPhase.Protected => "protected",
        PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding => "moving",
        PairPhase.Expecting or PairPhase.Arriving or PairPhase.Landing or PairPhase.Resuming or PairPhase.Returning => "arriving",
        PairPhase.Verifying or PairPhase.HandingOver or PairPhase.GoingSolo or PairPhase.Frozen => "holding",
        PairPhase.Waiting => _standby is null ? "standby-preparing" : "standby-waiting",
        PairPhase.Receiving or PairPhase.Ready => "standby-syncing",
        PairPhase.Standing => "standby-ready",
        PairPhase.Deciding or PairPhase.Taking or PairPhase.Loading or PairPhase.Confirming or PairPhase.SwappingBack => "taking",
        _ => "stopping",
    };
}
