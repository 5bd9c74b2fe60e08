using System.Diagnostics;
using System.Text;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Migration.Policies;
using Pollux.Migration.Streaming;
using Pollux.Qemu.Outgoing;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Moving;

/// <summary>With what a live migration begins.</summary>
/// <param name="Connect">Reaches the destination: one connection of each kind.</param>
internal sealed record MoveOptions(Member Destination, Func<ConnectionKind, FrameStream> Connect, IMigrationPolicy Policy, MigrationTerms Terms, string SocketPath, string? RamFile);

/// <summary>
/// The source's side of one live migration: QEMU's stream to the destination, and the words beside it. It reports to the pair's machine and does what
/// that decides; after <see cref="EndAsync"/> it reports nothing more.
/// </summary>
internal sealed class MovingSource(Guest guest, MoveOptions options, Action<PairEvent> post)
{
    private const double RestWithinMs = 5_000;
    private static readonly TimeSpan LastWordsWithin = TimeSpan.FromMilliseconds(500);
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _ended = new();
    private readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _dismissed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _began = Stopwatch.GetTimestamp();
    private OutgoingMigration? _migration;
    private MoveControl? _control;
    private FrameStream? _stream;
    private Task _running = Task.CompletedTask;
    private Switchover? _switchover;
    private long _stoppedAt;

    /// <summary>Ingress that went to the destination, <see cref="FrameBatch"/>es; the guest's own if it stays.</summary>
    private readonly List<byte[]> _taken = [];
    private bool _isEnded;

    public Member Destination => options.Destination;

    /// <summary>The guest is stopped, and the pair's machine has ordered the rest to go.</summary>
    public bool IsCompleting => _complete.Task.IsCompletedSuccessfully;

    public MigrationProgress? Progress => _migration?.Progress;

    /// <summary>Connects and begins; what comes of it is reported. Returns at once.</summary>
    public void Begin() => _running = Task.Run(RunAsync);

    /// <summary>The guest is stopped; the rest may go.</summary>
    public void Complete() => _complete.TrySetResult();

    public void TellHandOver(Role role, long revision)
    {
        var progress = _migration!.Progress;
        GiveIngress();
        _control?.Tell(FrameType.HandOver, new HandOver(
            role.ToJson(), revision, options.Policy.Name, Ms(_began), Ms(_stoppedAt), _switchover!.PredictedPauseMs, progress.Iteration, _migration.SentBytes).ToJson());
    }

    public void Dismiss(string why) => _control?.Tell(FrameType.Dismiss, why);

    /// <summary>Nothing of it stays in QEMU, and the guest runs on. Completes when that is so.</summary>
    public async Task EndAsync(string why)
    {
        lock (_lock)
        {
            if (_isEnded)
            {
                return;
            }
            _isEnded = true;
        }
        Dismiss(why);
        await _ended.CancelAsync().ConfigureAwait(false);
        _complete.TrySetCanceled();
        try
        {
            await ResumeAsync().ConfigureAwait(false);
            await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        finally
        {
            GiveBack();
            guest.PassIngress();
            await CloseAsync().ConfigureAwait(false);
        }
    }

    private void GiveBack()
    {
        try
        {
            guest.Replay(_taken);
        }
        catch (Exception e) when (e is PolluxException or ObjectDisposedException)
        {
            KeeperLog.Say($"frames that were kept for the guest cannot be given to it: {e.Message}");
        }
    }

    /// <summary>The guest is ours, so it is let run, however long QEMU takes to hear of it.</summary>
    private async Task ResumeAsync()
    {
        try
        {
            if (_migration is { } migration)
            {
                await migration.AbandonAsync(resume: true).ConfigureAwait(false);
            }
        }
        catch (Exception e)
        {
            KeeperLog.Say($"ending the migration, again until it is done: {e.Message}");
            try
            {
                await StrayMigration.EndAsync(guest.Qmp, CancellationToken.None).ConfigureAwait(false);
            }
            catch (PolluxException gone)
            {
                KeeperLog.Say($"ending the migration: {gone.Message}");
            }
        }
    }

    /// <summary>The guest is not ours any more: nothing is undone, QEMU is being killed.</summary>
    public async Task CloseAsync()
    {
        lock (_lock)
        {
            _isEnded = true;
        }
        await _ended.CancelAsync().ConfigureAwait(false);
        if (_control is { } control)
        {
            // It lets the last word go out, which this thread must not wait for.
            await Task.Run(control.Dispose).ConfigureAwait(false);
        }
        _stream?.Dispose();
        if (_migration is not null)
        {
            await _migration.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task RunAsync()
    {
        try
        {
            _control = new MoveControl(options.Connect(ConnectionKind.MigrationControl), Hear, why => Report(new PairEvent.LinkDown(why)));
            _control.Tell(FrameType.Sources, guest.Sources.ToBytes());
            _stream = options.Connect(ConnectionKind.Migration);
            _migration = await OutgoingMigration.BeginAsync(
                new OutgoingOptions(guest.Qmp, guest.Version, options.SocketPath, options.Policy, options.Terms, options.RamFile), _stream.Stream, _ended.Token).ConfigureAwait(false);
            _switchover = await _migration.UntilSwitchoverAsync(_ended.Token).ConfigureAwait(false);
            _stoppedAt = Stopwatch.GetTimestamp();
            guest.HoldIngress();
            guest.DrainEgress();
            Report(new PairEvent.SwitchoverReached());
            await _complete.Task.ConfigureAwait(false);
            await CompleteAsync(_migration).ConfigureAwait(false);
            _control.Tell(FrameType.Sources, guest.Sources.ToBytes());
            Report(new PairEvent.StreamSent());
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            // Whoever ends it undoes it.
        }
        catch (Exception e)
        {
            // Whatever it is, it has to be heard: nothing else ends the move. A destination that refuses closes the stream, too; its own words are the better reason, and may be a moment behind.
            await Task.WhenAny(_dismissed.Task, Task.Delay(LastWordsWithin)).ConfigureAwait(false);
            Report(new PairEvent.MigrationFailed(e.Message));
        }
    }

    /// <summary>The guest stands still, and may run on without a question: a rest that does not go out is not waited for.</summary>
    private async Task CompleteAsync(OutgoingMigration migration)
    {
        var within = TimeSpan.FromMilliseconds(Math.Max(RestWithinMs, 3 * Math.Max(options.Terms.MaxPauseMs, _switchover!.PredictedPauseMs)));
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ended.Token);
        patience.CancelAfter(within);
        try
        {
            await migration.CompleteAsync(patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!_ended.IsCancellationRequested)
        {
            throw new PolluxException($"the rest did not go out within {within.TotalSeconds:0.#} s; the link has become slow", "try again when it is better", e);
        }
    }

    /// <summary>What has come for the guest, which stands, goes to the destination. Before the switchover there is none.</summary>
    private void GiveIngress()
    {
        byte[] frames;
        lock (_lock)
        {
            frames = _isEnded ? [] : guest.TakeHeldIngress();
            if (frames.Length == 0)
            {
                return;
            }
            _taken.Add(frames);
        }
        _control?.Tell(FrameType.Ingress, frames);
    }

    private void Hear(FrameHeader header, byte[] payload)
    {
        if (header.Type != FrameType.Dismiss)
        {
            throw new WireFormatException($"the destination sent a {header.Type} frame");
        }
        // If the guest runs there, what has come for it here since the hand-over follows; the network has learned by now where it is.
        GiveIngress();
        Report(new PairEvent.Dismissed(Encoding.UTF8.GetString(payload)));
        _dismissed.TrySetResult();
    }

    /// <summary>Nothing is reported after the end, so that no word of an old migration reaches a new one.</summary>
    private void Report(PairEvent e)
    {
        lock (_lock)
        {
            if (!_isEnded)
            {
                post(e);
            }
        }
    }

    private static double Ms(long since) => Math.Round(Stopwatch.GetElapsedTime(since).TotalMilliseconds, 3);
}
