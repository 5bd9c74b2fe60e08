using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Keeper.Events;
using Pollux.Keeper.Guests;
using Pollux.Keeper.Moving;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <content>Live migration: the guest leaves for another host, or comes from one.</content>
internal sealed partial class KeeperProcess
{
    private volatile MovingSource? _moving;
    private volatile MovingDestination? _destination;
    private volatile Task _destinationClosed = Task.CompletedTask;
    private volatile bool _hasListenedForMove;
    private MigrationSettings _moveSettings = new();

    /// <summary>What the last migration here came to.</summary>
    private volatile MigrationStatus? _lastMove;

    private bool DoForMove(PairEffect effect)
    {
        switch (effect)
        {
            case PairEffect.BeginMigration begin:
                BeginMove(begin.Destination);
                return true;
            case PairEffect.CompleteMigration:
                _moving?.Complete();
                return true;
            case PairEffect.TellHandOver hand:
                NoteMove(true);
                _moving?.TellHandOver(hand.Role, hand.Revision);
                return true;
            case PairEffect.EndMigration end:
                EndMove(end.Why);
                return true;
            case PairEffect.RunGuest:
                Beside(RunArrivedAsync, e => new PairEvent.GuestCouldNotRun(e.Message));
                return true;
            case PairEffect.TellDismiss dismiss when _moving is { } moving:
                moving.Dismiss(dismiss.Why);
                return true;
            case PairEffect.TellDismiss dismiss when Interlocked.Exchange(ref _destination, null) is { } destination:
                _destinationClosed = destination.DismissAsync(dismiss.Why);
                return true;
            default:
                return false;
        }
    }

    private void BeginMove(Member destination)
    {
        var target = Volatile.Read(ref _target)!;
        var settings = _moveSettings;
        var policy = MoveTerms.PolicyOf(settings);
        var options = new MoveOptions(
            destination, kind => PeerConnector.ConnectOne(target, _tls, HelloTo(destination, kind)).Frames, policy,
            MoveTerms.Of(settings, _machine.RamBytes), _machine.Directory.PathsOf("").Channel, _machine.Directory.ReadRecord()?.RamFile);
        _lastMove = null;
        MovingSource? moving = null;
        moving = new MovingSource(_guest!, options, e => _loop.Post(e, from: moving));
        _moving = moving;
        moving.Begin();
    }

    private void EndMove(string why)
    {
        if (_moving is not { } moving)
        {
            return;
        }
        // Whoever asks meanwhile finds one of the two.
        _lastMove = StatusOf(moving, MigrationState.Failed, why);
        _moving = null;
        NoteMove(false);
        _sessionEnded = moving.EndAsync(why);
    }

    private MigrationStatus? MoveStatus() => _moving is { } moving
        ? StatusOf(moving, MigrationState.Moving, null)
        : _lastMove;

    private MigrationStatus StatusOf(MovingSource moving, MigrationState state, string? why)
    {
        var (policy, progress) = (MoveTerms.PolicyNameOf(_moveSettings), moving.Progress);
        return progress is null
            ? new MigrationStatus(state, policy, _me.Host, moving.Destination.Host, 0, 0, 0, 0, 0, 0, null, 0, why ?? "")
            : new MigrationStatus(
                state, policy, _me.Host, moving.Destination.Host, Math.Round(progress.ElapsedMs), progress.Iteration, progress.SentBytes, progress.RemainingBytes,
                Math.Round(progress.BytesPerSecond), Math.Round(progress.PredictedPauseMs, 1), progress.LeftMs, progress.ThrottlePercent, why ?? progress.Why,
                WaitsFor: state == MigrationState.Moving ? WaitsFor(moving) : null);
    }

    /// <summary>The flag is looked at first: it follows the state's step, so the state that is read then is not older.</summary>
    private string? WaitsFor(MovingSource moving) =>
        moving.IsCompleting && _loop.State is { Phase: PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding or PairPhase.GoingSolo } stands ? NoteOf(stands) : null;

    /// <summary>The guest that has come runs here.</summary>
    private void NoteArrival(MigrationStatus move)
    {
        _lastMove = move;
        _events.Tell(PairNews.OfMove(move));
    }

    private async Task BecomeDestinationAsync(CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _leaving.Token);
        try
        {
            await TellEndpointAsync(StandbyState.Preparing, 0, null).ConfigureAwait(false);
            var destination = await MovingDestination.PrepareAsync(_machine, _me, _tls, e => _loop.Post(e), AttachAsync, end.Token).ConfigureAwait(false);
            _guest = destination.Guest;
            _destination = destination;
            end.Token.ThrowIfCancellationRequested();
            await TellEndpointAsync(StandbyState.Ready, destination.Port, null).ConfigureAwait(false);
            _hasListenedForMove = true;
            _ = LeaveWhenNobodyComesAsync();
        }
        catch (Exception e) when (e is PolluxException or IOException or SocketException || (e is OperationCanceledException && _leaving.IsCancellationRequested))
        {
            KeeperLog.Say($"cannot take it in: {e.Message}");
            _loop.Post(new PairEvent.ArrivalFailed(e.Message));
        }
    }

    private async Task LeaveWhenNobodyComesAsync()
    {
        await Task.Delay(MovePatience.Expect, _leaving.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_loop.State.Phase == PairPhase.Expecting)
        {
            _loop.Post(new PairEvent.Dismissed($"no source came within {MovePatience.Expect.TotalSeconds:0} s"));
        }
    }

    private async Task RunArrivedAsync()
    {
        var destination = _destination!;
        try
        {
            await destination.RunAsync(MovePatience.Run).ConfigureAwait(false);
        }
        catch (Exception e) when (e is PolluxException or IOException or SocketException)
        {
            // Whatever it did of what it was told: it must be dead before the source's copy may go on.
            destination.Guest.Process.Kill();
            await destination.Guest.Process.Exited.ConfigureAwait(false);
            throw;
        }
        // The role names this host already. Before the machine hears of it: the note must not clear the mark of the next move.
        NoteMove(false);
        _loop.Post(new PairEvent.GuestRuns());
    }

    /// <summary>For the agent, should this keeper die. That it cannot be written must not stop a move that has been decided.</summary>
    private void NoteMove(bool moves)
    {
        try
        {
            _machine.Directory.NoteMove(moves);
        }
        catch (Exception e) when (e is PolluxException or IOException or UnauthorizedAccessException)
        {
            KeeperLog.Say($"cannot note that its guest {(moves ? "is handed over" : "stays")}: {e.Message}");
        }
    }

    private async Task CloseDestinationAsync()
    {
        if (Interlocked.Exchange(ref _destination, null) is { } destination)
        {
            await destination.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task CloseMoveAsync()
    {
        await CloseDestinationAsync().ConfigureAwait(false);
        await _destinationClosed.ConfigureAwait(false);
        if (Interlocked.Exchange(ref _moving, null) is { } moving)
        {
            await moving.CloseAsync().ConfigureAwait(false);
        }
    }

    private async Task MigrateAsync(KeeperRequest request, CancellationToken cancellation)
    {
        var target = request.Standby ?? throw new PolluxException("migrate needs a member 'standby'");
        var settings = request.Migration ?? new MigrationSettings();
        MoveTerms.Check(settings);
        var state = _loop.State;
        if (state.Phase == PairPhase.Moving && state.Peer?.Incarnation == target.Incarnation)
        {
            return; // asked twice
        }
        if (state.Phase != PairPhase.Alone || _guest is not { } guest)
        {
            throw new PolluxException($"{_machine.Spec.Name} cannot move while it is {PhaseName(state)}{Because(state)}");
        }
        await WithinAsync(
            async patience =>
            {
                await Task.WhenAny(_sessionEnded).WaitAsync(patience).ConfigureAwait(false); // however it ended
                await RequireMovableAsync(guest, patience).ConfigureAwait(false);
            }, cancellation).ConfigureAwait(false);
        (_moveSettings, _target, _lastMove) = (settings, target, null);
        _loop.Post(new PairEvent.MigrateRequested(new Member(target.Host, target.Incarnation)));
        // It may have failed already.
        await UntilAsync(s => s.Phase != PairPhase.Alone || _lastMove is not null, cancellation).ConfigureAwait(false);
    }

    /// <summary>Unlike a stop it never ends a guest that has landed, or was taken over, meanwhile: who sends it may not know how far that has come.</summary>
    private Task SendAwayAsync()
    {
        _loop.Post(new PairEvent.SentAway("sent away by its agent"));
        return Task.CompletedTask;
    }

    private async Task CancelMoveAsync(CancellationToken cancellation)
    {
        if (_loop.State.Phase is not (PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding))
        {
            throw new PolluxException($"{_machine.Spec.Name} does not move", "see 'pollux vm show'");
        }
        _loop.Post(new PairEvent.MigrationCancelled());
        await UntilAsync(s => s.Phase is PairPhase.Alone or PairPhase.Gone, cancellation).ConfigureAwait(false);
        if (_loop.State.Phase == PairPhase.Gone)
        {
            throw new PolluxException($"{_machine.Spec.Name} has moved already", "see 'pollux vm show'");
        }
    }

    /// <exception cref="PolluxException">QEMU could not give this guest's state away, in its words.</exception>
    private static async Task RequireMovableAsync(Guest guest, CancellationToken cancellation)
    {
        var migration = await guest.Qmp.ExecuteAsync("query-migrate", null, cancellation).ConfigureAwait(false);
        if (migration.TryGetProperty("blocked-reasons", out var reasons))
        {
            throw new PolluxException(
                $"QEMU cannot move this guest: {string.Join("; ", reasons.EnumerateArray().Select(r => r.GetString()))}", "take that device out of the VM and start it anew");
        }
    }
}
