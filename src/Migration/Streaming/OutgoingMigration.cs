using Pollux.Core;
using Pollux.Migration.Policies;
using Pollux.Migration.Watching;
using Pollux.Qemu.Qmp;
using Pollux.Wire.Migration;

namespace Pollux.Migration.Streaming;

/// <summary>
/// The source's end of a live migration: QEMU's stream, paced to the link's rate and counted page by page, under a policy.
///
/// Life: <see cref="BeginAsync"/> · <see cref="UntilSwitchoverAsync"/> (the guest runs, then is stopped with the rest unsent) ·
/// <see cref="CompleteAsync"/> (all is sent; the guest stays stopped here). At any point, and whatever failed, <see cref="AbandonAsync"/>
/// brings QEMU back to where another migration or a protection can begin. Until QEMU has completed, the guest exists nowhere else;
/// afterwards it is for the caller to know who may run it. One task uses it; <see cref="Progress"/>, <see cref="SentBytes"/> and
/// <see cref="Samples"/> are for any thread.
/// </summary>
public sealed class OutgoingMigration : IAsyncDisposable
{
    // Beside its RAM a guest has BIOS, option ROMs and video memory.
    private const long OtherMemoryBytesMax = 1L << 30;

    private static readonly TimeSpan ClearingPatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);
    private readonly OutgoingOptions _options;
    private readonly SourceQemu _qemu;
    private readonly StreamRelay _relay;
    private readonly SampleLog _samples;
    private readonly SemaphoreSlim _abandoning = new(1, 1);
    private string _why = "the first pass over all memory";
    private MigrationOrder? _last;
    private bool _switchOverOrdered;
    private bool _stoodBefore; // the guest was stopped by somebody else before QEMU stopped it
    private bool _ended;
    private MigrationProgress _progress;

    private OutgoingMigration(OutgoingOptions options, SourceQemu qemu, StreamRelay relay)
    {
        (_options, _qemu, _relay, _samples) = (options, qemu, relay, new SampleLog(relay, options.RamFile is { } ram ? RamFile.TryOpen(ram, options.Terms.RamBytes, new Random()) : null));
        _progress = new MigrationProgress(options.Policy.Name, 0, 1, 0, options.Terms.RamBytes, 0, 0, null, 0, _why);
    }

    public MigrationProgress Progress => Volatile.Read(ref _progress);

    /// <summary>Of QEMU's stream, on the link.</summary>
    public long SentBytes => _relay.SentBytes;

    public IReadOnlyList<MigrationSample> Samples => _samples.Copy();

    /// <summary>Tells QEMU to begin. The link is written by a thread of this migration until it ends; a migration that fails closes it.</summary>
    /// <exception cref="PolluxException">QEMU refuses, in its own words; nothing is left of the attempt.</exception>
    public static async Task<OutgoingMigration> BeginAsync(OutgoingOptions options, Stream link, CancellationToken cancellation)
    {
        var (qemu, stream) = await SourceQemu.BeginAsync(options, options.Policy.Begin(options.Terms), cancellation).ConfigureAwait(false);
        var ledger = new PageLedger((options.Terms.RamBytes + OtherMemoryBytesMax) / RamStreamScanner.PageSize);
        return new OutgoingMigration(options, qemu, new StreamRelay(
            stream, link, options.Terms.LinkBytesPerSecond, ledger, PostponedPages.TryOpen(options.RamFile, options.Terms.RamBytes)));
    }

    /// <summary>Iterates under the policy until the guest is stopped and QEMU waits with the rest.</summary>
    /// <exception cref="PolluxException">The policy gave up, the deadline passed, QEMU failed or the link broke. The caller abandons.</exception>
    public async Task<Switchover> UntilSwitchoverAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await _qemu.WaitForChangeAsync(_samples.Interval, cancellation).ConfigureAwait(false);
            await ThrowIfRelayEndedAsync(cancellation).ConfigureAwait(false);
            var status = await _qemu.StatusAsync(cancellation).ConfigureAwait(false);
            switch (status.Phase)
            {
                case "pre-switchover":
                    return SwitchoverNow(status);
                case "setup" or "active":
                    await StepAsync(status, cancellation).ConfigureAwait(false);
                    break;
                default:
                    throw Unexpected(status);
            }
        }
    }

    /// <summary>
    /// Sends the rest. Returns when QEMU says that it completed and all of its stream is on the link, ended and flushed. The guest stays stopped.
    /// </summary>
    /// <exception cref="PolluxException">Whether the destination has all of it is unknown: the caller abandons, and asks who may run.</exception>
    public async Task CompleteAsync(CancellationToken cancellation)
    {
        await _qemu.ContinueAsync(cancellation).ConfigureAwait(false);
        // QEMU closes its stream when it is done with it, or has failed.
        await _relay.Ended.WaitAsync(cancellation).ConfigureAwait(false);
        while (await _qemu.StatusAsync(cancellation).ConfigureAwait(false) is { Phase: not "completed" } status)
        {
            if (status.Phase is not ("pre-switchover" or "device"))
            {
                throw Unexpected(status);
            }
            await _qemu.WaitForChangeAsync(LookAgain, cancellation).ConfigureAwait(false);
        }
        await Task.Run(_relay.MarkEnd, CancellationToken.None).WaitAsync(cancellation).ConfigureAwait(false);
        Report(_samples.Add(await _qemu.StatusAsync(cancellation).ConfigureAwait(false), isPaused: true));
        await _abandoning.WaitAsync(cancellation).ConfigureAwait(false);
        if (!_ended)
        {
            _ended = true;
            _relay.Close();
        }
        _abandoning.Release();
    }

    /// <summary>
    /// Ends what there is of the migration, in any phase, also twice, and waits until nothing of it is left in QEMU. A migration that was not
    /// whole closes the link.
    /// </summary>
    /// <param name="resume">
    /// True: returns when the guest runs again, unless it was stopped before (paused by its user, shut down). False: when it is stopped; one
    /// that had not left yet may run for a moment, since QEMU lets it.
    /// </param>
    /// <exception cref="PolluxException">QEMU died or does not clear up within 20 s.</exception>
    public async Task AbandonAsync(bool resume)
    {
        using var patience = new CancellationTokenSource(ClearingPatience);
        await _abandoning.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            await ClearAsync(patience.Token).ConfigureAwait(false);
            if (resume)
            {
                await ResumeAsync(patience.Token).ConfigureAwait(false);
            }
            else if (await _qemu.RunStateAsync(patience.Token).ConfigureAwait(false) == "running")
            {
                await _qemu.StopAsync(patience.Token).ConfigureAwait(false);
            }
        }
        catch (QmpClosedException) when (!resume)
        {
            // QEMU is gone: nothing is left of the migration, and nothing runs.
        }
        catch (OperationCanceledException e)
        {
            throw new PolluxException(
                $"QEMU has not cleared away its migration within {ClearingPatience.TotalSeconds:0} s", "look at the VM's log; ending its QEMU ends the guest", e);
        }
        finally
        {
            _abandoning.Release();
        }
    }

    /// <summary>One that is not complete is abandoned, and the guest runs on.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!_ended)
            {
                await AbandonAsync(resume: true).ConfigureAwait(false);
            }
        }
        catch (PolluxException)
        {
            // QEMU is gone or hangs: its owner sees that too.
        }
        _qemu.Dispose();
        _samples.Dispose();
    }

    private async Task ClearAsync(CancellationToken cancellation)
    {
        try
        {
            await _qemu.CancelAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            if (!_ended)
            {
                _ended = true;
                // Beside the caller's thread: it joins the relay's.
                await Task.Run(_relay.Break, CancellationToken.None).ConfigureAwait(false);
            }
        }
        while (await _qemu.HasMigrationAsync(cancellation).ConfigureAwait(false))
        {
            await _qemu.WaitForChangeAsync(LookAgain, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ResumeAsync(CancellationToken cancellation)
    {
        while (await _qemu.RunStateAsync(cancellation).ConfigureAwait(false) is not "running" and var state)
        {
            switch (state)
            {
                // Completed, or failed with a guest that stood: QEMU starts only what it stopped itself.
                case "postmigrate" when _stoodBefore:
                    return;
                case "postmigrate":
                    await _qemu.RunAsync(cancellation).ConfigureAwait(false);
                    break;
                case "finish-migrate":
                    await _qemu.WaitForChangeAsync(LookAgain, cancellation).ConfigureAwait(false);
                    break;
                default:
                    return;
            }
        }
    }

    /// <summary>One look, and what the policy makes of it.</summary>
    private async Task StepAsync(MigrationStatus status, CancellationToken cancellation)
    {
        var state = await _qemu.RunStateAsync(cancellation).ConfigureAwait(false);
        _stoodBefore = state is not ("running" or "finish-migrate");
        if (state is "shutdown" or "guest-panicked" or "internal-error" or "io-error" or "watchdog")
        {
            throw new PolluxException($"the guest stopped during the migration ({state})", "there is nothing to move; see its console");
        }
        if (status.Phase == "setup")
        {
            return;
        }
        var sample = _samples.Add(status);
        if (!_switchOverOrdered)
        {
            await CarryOutAsync(_options.Policy.Decide(_options.Terms, _samples.Own), cancellation).ConfigureAwait(false);
        }
        Report(sample);
        if (sample.AtMs > _options.Terms.DeadlineMs)
        {
            throw new PolluxException(
                $"the migration did not end within its {_options.Terms.DeadlineMs / 1000:0.#} s: {_why}, {sample.RemainingBytes / 1e6:0.#} MB were left",
                "allow a longer pause (--max-pause), more time (--deadline) or try when the guest is quieter");
        }
    }

    private async Task CarryOutAsync(MigrationOrder order, CancellationToken cancellation)
    {
        if (_relay.Postponed is { } postponed)
        {
            postponed.Slices = order.PostponedSlices;
        }
        switch (order)
        {
            case MigrationOrder.GoOn goOn:
                _why = goOn.Why ?? _why;
                break;
            // Policies keep nothing and say again what still holds: QEMU is told once.
            case MigrationOrder.Limit limit when _last is MigrationOrder.Limit last && last.DowntimeLimitMs == limit.DowntimeLimitMs:
                _why = limit.Why ?? _why;
                break;
            case MigrationOrder.Throttle when _last is MigrationOrder.Throttle:
                break;
            case MigrationOrder.Limit limit:
                _why = limit.Why ?? $"QEMU may stop the guest for {limit.DowntimeLimitMs:0} ms";
                await _qemu.LimitAsync(limit.DowntimeLimitMs, cancellation).ConfigureAwait(false);
                break;
            case MigrationOrder.SwitchOver over:
                (_why, _switchOverOrdered) = (over.Why, true);
                await _qemu.SwitchOverAsync(cancellation).ConfigureAwait(false);
                break;
            case MigrationOrder.Throttle throttle:
                _why = throttle.Why;
                await _qemu.ThrottleAsync(cancellation).ConfigureAwait(false);
                break;
            case MigrationOrder.GiveUp giveUp:
                _why = giveUp.Why;
                throw new PolluxException($"the policy '{_options.Policy.Name}' gave up: {giveUp.Why}", "allow more (--max-pause, --deadline, --bandwidth, --when-longer throttle), or try when the guest is quieter");
            default:
                throw new InvalidOperationException($"the order {order} is unknown");
        }
        _last = order is MigrationOrder.GoOn ? _last : order;
    }

    private Switchover SwitchoverNow(MigrationStatus status)
    {
        var sample = _samples.Add(status, isPaused: true);
        Report(sample);
        var why = _switchOverOrdered ? _why : $"QEMU found what is left small enough ({(sample.RemainingBytes + sample.PostponedBytes) >> 10} KiB)";
        return new Switchover(
            (_stoodBefore ? null : _qemu.StoppedUnixMs) ?? (DateTime.UtcNow - DateTime.UnixEpoch).TotalMilliseconds, Progress.PredictedPauseMs, _relay.SentBytes, why);
    }

    private void Report(MigrationSample sample)
    {
        var terms = _options.Terms;
        var rate = terms.LinkBytesPerSecond ?? _samples.Own.Max(s => s.LinkBytesPerSecond);
        var dirty = sample.DirtyPagesPerSecond * RamStreamScanner.PageSize;
        var remaining = sample.RemainingBytes + sample.PostponedBytes - UnsentZeros(sample);
        var copyMs = remaining * 1000 / Math.Max(1, rate);
        Volatile.Write(ref _progress, new MigrationProgress(
            _options.Policy.Name, sample.AtMs, sample.Iteration, sample.SentBytes, remaining, sample.LinkBytesPerSecond,
            copyMs + terms.OverheadMs,
            // What is dirtied while it is sent is to be sent again, and so on; a guest as fast as the link never ends by itself.
            dirty < 0.95 * rate ? copyMs / (1 - (dirty / Math.Max(1, rate))) : null,
            sample.ThrottlePercent, _why));
    }

    /// <summary>Pages of zeros that QEMU has not come to yet, by the sample of the RAM: it counts them, and they cost next to nothing.</summary>
    private long UnsentZeros(MigrationSample sample)
    {
        if (sample.Ram is not { UsedBytes: > 0 and var used } || sample.Iteration > 1)
        {
            return 0;
        }
        var zerosSent = Math.Max(0, (sample.SentPages * RamStreamScanner.PageSize) - sample.SentBytes - sample.PostponedBytes);
        return Math.Clamp(_options.Terms.RamBytes - used - zerosSent, 0, sample.RemainingBytes);
    }

    /// <summary>A broken link is told as such, and not as QEMU's failure that follows from it.</summary>
    private async Task ThrowIfRelayEndedAsync(CancellationToken cancellation)
    {
        if (!_relay.Ended.IsCompleted)
        {
            return;
        }
        await _relay.Ended.ConfigureAwait(false);
        throw Unexpected(await _qemu.StatusAsync(cancellation).ConfigureAwait(false));
    }

    private static PolluxException Unexpected(MigrationStatus status) => status.Phase switch
    {
        "cancelled" or "cancelling" => new PolluxException("the migration was cancelled"),
        _ => new PolluxException($"QEMU ended the migration ({status.Phase}): {status.Error ?? "it gave no reason"}", "look at the VM's log"),
    };
}
