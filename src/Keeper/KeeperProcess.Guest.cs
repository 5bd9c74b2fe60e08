using System.Net.Sockets;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Outgoing;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Replication.Pair;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <content>How this side comes by its guest, started or adopted, and what QEMU tells of it.</content>
internal sealed partial class KeeperProcess
{
    private static readonly TimeSpan AdoptWithin = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan AdoptAgain = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Asked right before the role is to say that the guest runs here: its death may not have been told yet, and whoever else holds the guest would be
    /// thrown away.
    /// </summary>
    private bool IsGuestDying() => _loop.State is { Phase: PairPhase.Claiming, Adopting: var adopting }
        ? adopting && _orphan is not { IsDying: false }
        : _guest is { IsDying: true };

    private async Task StartGuestAsync(bool adopt)
    {
        var orphan = Interlocked.Exchange(ref _orphan, null);
        if (adopt && orphan is null)
        {
            throw new PolluxException("the QEMU to adopt has ended");
        }
        if (_loop.State.Phase != PairPhase.Alone)
        {
            // Stopped already: this host was slow, and the role may name another one by now.
            orphan?.Kill();
            return;
        }
        var process = orphan;
        if (process is null)
        {
            (process, var ram) = _machine.Start(QemuSide.Primary);
            ram.Dispose();
        }
        var isPoweringDown = adopt && WasPowerDownAsked();
        _powerDownAsked = isPoweringDown; // before its first event
        Guest guest;
        try
        {
            guest = await (adopt ? AttachWhileItLivesAsync(process) : AttachAsync(process)).ConfigureAwait(false);
        }
        catch
        {
            process.Kill();
            throw;
        }
        var hasShutDown = false;
        if (adopt)
        {
            await CheckpointChannel.EndColoAsync(guest.Qmp, _leaving.Token).ConfigureAwait(false);
            await StrayMigration.EndAsync(guest.Qmp, _leaving.Token).ConfigureAwait(false);
            hasShutDown = await HasShutDownAsync(guest).ConfigureAwait(false);
        }
        if (_loop.State.Phase != PairPhase.Alone)
        {
            // Stopped before it ran: the role says so, or is about to.
            process.Kill();
            await guest.DisposeAsync().ConfigureAwait(false);
            return;
        }
        if (adopt)
        {
            // The role was won with it: wherever its guest was on the way to, it stays.
            NoteMove(false);
        }
        guest.Egress.Pass();
        guest.Listen();
        _guest = guest; // last: from now on it may be protected
        if (isPoweringDown)
        {
            _ = InheritPowerDownAsync();
        }
        KeeperLog.Say($"QEMU {process.Pid} runs the guest");
        if (hasShutDown)
        {
            KeeperLog.Say("the guest has shut down while it had no keeper");
            _guestShutDown = !_powerDownAsked;
            Stop();
        }
    }

    /// <summary>
    /// The only copy of the guest: what a host lacks for a moment (a descriptor, say) must not end it. What a guest that is started anew would lack too (a
    /// bridge) is waited for without end.
    /// </summary>
    private async Task<Guest> AttachWhileItLivesAsync(QemuProcess process)
    {
        using var patience = new WatchedPatience(AdoptWithin, _leaving.Token);
        while (true)
        {
            try
            {
                var guest = await AttachAsync(process).ConfigureAwait(false);
                _cutOff = null;
                return guest;
            }
            catch (Exception e) when (e is PolluxException or OperationCanceledException && !process.Exited.IsCompleted && !_leaving.IsCancellationRequested
                && _loop.State.Phase == PairPhase.Alone && (e is HostNetworkException || !patience.Token.IsCancellationRequested))
            {
                KeeperLog.Say($"cannot take charge of QEMU {process.Pid} yet: {e.Message}");
                if (e is HostNetworkException)
                {
                    TellCutOff(e.Message);
                    patience.Renew(); // what else may be wrong has all of its time again
                }
                await Task.Delay(AdoptAgain, _leaving.Token).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Its word of that was heard by nobody, when it had no keeper.</summary>
    private async Task<bool> HasShutDownAsync(Guest guest) =>
        (await guest.Qmp.ExecuteAsync("query-status", null, _leaving.Token).ConfigureAwait(false)).GetProperty("status").GetString() == "shutdown";

    private async Task<Guest> AttachAsync(QemuProcess process)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_leaving.Token);
        // A QEMU that refuses its command line ends at once and never listens.
        _ = process.Exited.ContinueWith(_ => Cancel(patience), TaskScheduler.Default);
        Guest guest;
        try
        {
            guest = await Guest.AttachAsync(
                _machine.Spec, process, _machine.Version, _machine.Directory.Path, why => _ = TellDeathAsync(process, why),
                why => _ = TellNetworkFailureAsync(why), () => _session?.WakeLink(), patience.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or SocketException or PolluxException)
        {
            // A dying QEMU closes its sockets a moment before it is gone, and its own words are the better reason.
            await Task.WhenAny(process.Exited, Task.Delay(LastWordsWithin)).ConfigureAwait(false);
            var log = $"see {_machine.Directory.PathsOf("").Log}";
            throw e switch
            {
                _ when process.Exited.IsCompleted => new PolluxException(await process.Exited.ConfigureAwait(false), log, e),
                PolluxException or OperationCanceledException => e,
                _ => new PolluxException($"QEMU's sockets or this host's network cannot be used: {e.Message}", log, e),
            };
        }
        guest.Qmp.EventReceived += Hear;
        guest.Egress.FrameWaits = () => _session?.FrameWaits();
        guest.Egress.FrameLeaves = (nic, frame) => NoteSource(guest, nic, frame);
        return guest;
    }

    /// <summary>At once, where somebody may take over; a QEMU that refused what came to it is waited for a moment, for its last words.</summary>
    private async Task TellDeathAsync(QemuProcess process, string why)
    {
        if (_loop.State.IsDestination)
        {
            await Task.WhenAny(process.Exited, Task.Delay(LastWordsWithin)).ConfigureAwait(false);
            // It may only have closed its connections: it must be dead before the source's copy may go on.
            why = process.Exited.IsCompleted ? await process.Exited.ConfigureAwait(false) : why;
            process.Kill();
            await process.Exited.ConfigureAwait(false);
        }
        _loop.Post(new PairEvent.QemuExited(why));
    }

    private void NoteSource(Guest guest, int nic, ReadOnlySpan<byte> frame)
    {
        if (guest.Sources.Note(nic, frame))
        {
            _session?.Tell(FrameType.Sources, guest.Sources.ToBytes());
        }
    }

    private void Hear(QmpEvent e)
    {
        switch (e.Name)
        {
            case "STOP":
                _session?.Stats.Stopped(e.TimestampMicros);
                break;
            case "RESUME":
                _session?.Stats.Resumed(e.TimestampMicros);
                break;
            // A signal to QEMU says SHUTDOWN too, and is a death like any other: QEMU's exit tells it.
            case "SHUTDOWN" when e.Data.TryGetProperty("guest", out var byGuest) && byGuest.GetBoolean():
                KeeperLog.Say("the guest has shut down");
                // Not by itself when it was asked to: a user who starts it again meanwhile is obeyed.
                _guestShutDown = !_powerDownAsked;
                Stop();
                break;
            default:
                HearGuest(e);
                break;
        }
    }
}
