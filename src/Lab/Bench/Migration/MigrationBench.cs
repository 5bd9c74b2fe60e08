using System.Diagnostics;
using System.Globalization;
using Pollux.Core;
using Pollux.Lab.Migration;
using Pollux.Migration;
using Pollux.Migration.Policies;
using Pollux.Migration.Streaming;

namespace Pollux.Lab.Bench.Migration;

/// <summary>
/// The policies side by side, on real guests: each guest boots once and is then moved from QEMU to QEMU on this machine, by every policy in turn and in
/// another order each time, over a link that the relay makes. Nothing else of Pollux takes part, so what is measured is the policy.
/// </summary>
public sealed class MigrationBench
{
    /// <summary>What a pause costs beside sending: QEMU's stop, the device state, loading, and the orders between.</summary>
    public const double OverheadMs = 30;

    private const int PageBytes = 4096;

    // A guest under emulation that has just arrived has nothing translated yet.
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(400);

    private static readonly TimeSpan Baseline = TimeSpan.FromMilliseconds(700);
    private readonly MigrationBenchSettings _settings;
    private readonly IProgress<string> _progress;
    private readonly Action<MigrationRun> _add;

    private MigrationBench(MigrationBenchSettings settings, IProgress<string> progress, Action<MigrationRun> add) =>
        (_settings, _progress, _add) = (settings, progress, add);

    /// <param name="add">Told of each run as it ends, so that what was measured outlives an interruption.</param>
    /// <param name="fail">Told, in words, of a guest that could not be measured to the end.</param>
    public static async Task RunAsync(MigrationBenchSettings settings, IProgress<string> progress, Action<MigrationRun> add, Action<string> fail, CancellationToken cancellation)
    {
        var bench = new MigrationBench(settings, progress, add);
        foreach (var guest in settings.Guests)
        {
            try
            {
                await bench.GuestAsync(guest, cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is PolluxException or IOException)
            {
                // An hour of figures is not thrown away for one guest.
                fail(Invariant($"{guest.Name}, {guest.LinkMBps} MB/s: {e.Message}"));
                progress.Report(e.Message);
            }
        }
    }

    private async Task GuestAsync(BenchGuest guest, CancellationToken cancellation)
    {
        bool? stockEnds = null;
        _progress.Report(Invariant($"{guest.Name}, {guest.LinkMBps} MB/s: boot"));
        var subject = new Subject(guest, await BootAsync(guest, _settings.Qemu, cancellation).ConfigureAwait(false));
        await using (subject.ConfigureAwait(false))
        {
            var policies = _settings.PoliciesOn(guest);
            double? limit = policies.Contains("relaxed") ? await FindLimitAsync(subject, cancellation).ConfigureAwait(false) : null;
            for (var repetition = 1; repetition <= _settings.Runs; repetition++)
            {
                var before = await SpeedAsync(subject, cancellation).ConfigureAwait(false);
                for (var i = 0; i < policies.Count; i++)
                {
                    var name = policies[(i + repetition - 1) % policies.Count];
                    var cut = _settings.CutOf(name, hasNeverEnded: stockEnds is false);
                    var run = await OnceAsync(subject, MigrationPolicies.Named(name, limit), name == "relaxed" ? limit : null, repetition, cut, before, cancellation).ConfigureAwait(false);
                    stockEnds = name == "stock" ? stockEnds is true || run.Succeeded : stockEnds;
                    _add(run);
                    Say(run);
                }
            }
        }
    }

    internal static async Task<MovableGuest> BootAsync(BenchGuest guest, string qemu, CancellationToken cancellation)
    {
        var booted = await MovableGuest.BootAsync(guest.Spec(qemu), cancellation).ConfigureAwait(false);
        try
        {
            var work = guest.Work(booted);
            await booted.UntilAsync(g => work is null ? g.Console().Contains("starting redis", StringComparison.Ordinal) : work.Now() is not null, "up", cancellation).ConfigureAwait(false);
            await Task.Delay(5 * Settling, cancellation).ConfigureAwait(false);
            return booted;
        }
        catch
        {
            await booted.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The smallest downtime-limit, in steps of 100 ms, at which stock completes: found from below by one climbing migration, then from above one step at a time.</summary>
    private async Task<double> FindLimitAsync(Subject subject, CancellationToken cancellation)
    {
        const double least = ClimbingLimit.StepMs;
        _progress.Report(Invariant($"{subject.Guest.Name}, {subject.Guest.LinkMBps} MB/s: searching relaxed's limit"));
        if ((await OnceAsync(subject, FixedLimitPolicy.Relaxed(least), least, 0, _settings.ProbeCut, null, cancellation).ConfigureAwait(false)).Succeeded)
        {
            return least;
        }
        var climbing = new ClimbingLimit(2 * least);
        var climbed = await OnceAsync(subject, climbing, null, 0, 4 * _settings.ProbeCut, null, cancellation).ConfigureAwait(false);
        var limit = climbing.LimitAt(climbed.TotalSeconds * 1000);
        while (limit > 2 * least && (await OnceAsync(subject, FixedLimitPolicy.Relaxed(limit - ClimbingLimit.StepMs), limit, 0, _settings.ProbeCut, null, cancellation).ConfigureAwait(false)).Succeeded)
        {
            limit -= ClimbingLimit.StepMs;
        }
        _progress.Report(Invariant($"{subject.Guest.Name}, {subject.Guest.LinkMBps} MB/s: relaxed's limit is {limit} ms"));
        return limit;
    }

    /// <param name="before">The guest's speed while nobody moves it.</param>
    private async Task<MigrationRun> OnceAsync(Subject subject, IMigrationPolicy policy, double? limitMs, int repetition, TimeSpan cut, double? before, CancellationToken cancellation)
    {
        await Task.Delay(Settling, cancellation).ConfigureAwait(false);
        var terms = subject.Here.Terms(subject.Guest.LinkMBps, _settings.MaxPauseMs, cut.TotalSeconds) with { OverheadMs = OverheadMs };
        if (subject.Guest.RoundsPerSpell > 0)
        {
            await subject.Here.UntilAsync(subject.Guest.HasJustBecomeBusy, "busy", cancellation).ConfigureAwait(false);
        }
        var source = subject.Here;
        var speed = GuestSpeed.Begin(subject.Guest.Work(source));
        OutgoingMigration? outgoing = null;
        var begin = Stopwatch.GetTimestamp();
        Moved? moved = null;
        var why = "";
        try
        {
            moved = await source.MoveAsync(policy, terms, cancellation, running: o => outgoing = o).ConfigureAwait(false);
            why = moved.Switchover.Why;
        }
        catch (PolluxException e) when (!source.Process.Exited.IsCompleted)
        {
            why = e.Problem;
        }
        var total = moved?.TotalSeconds ?? Stopwatch.GetElapsedTime(begin).TotalSeconds;
        var during = speed is null ? null : await speed.EndAsync().ConfigureAwait(false);
        if (moved is not null)
        {
            subject.Here = moved.Destination;
            await source.DisposeAsync().ConfigureAwait(false);
        }
        return new MigrationRun(
            policy.Name, subject.Guest.Name, subject.Guest.LinkMBps, moved is not null, total, moved?.SentBytes ?? outgoing?.SentBytes ?? 0, moved?.PauseMs, RunKind.Measured,
            _settings.MaxPauseMs, limitMs, moved?.Switchover.PredictedPauseMs, before > 0 ? during / before : null, repetition, why);
    }

    /// <summary>Of a guest that nobody moves; null: it tells no speed.</summary>
    private async Task<double?> SpeedAsync(Subject subject, CancellationToken cancellation)
    {
        double? speed = null;
        for (var attempt = 1; speed is null && attempt <= 2 && subject.Guest.Work(subject.Here) is { } work; attempt++)
        {
            await Task.Delay(Settling, cancellation).ConfigureAwait(false);
            var watch = GuestSpeed.Begin(work)!;
            await Task.Delay(Baseline, cancellation).ConfigureAwait(false);
            speed = await watch.EndAsync().ConfigureAwait(false);
        }
        if (speed is { } rate && subject.Guest is { PagesPerRound: > 0, RoundsPerSpell: 0 } guest && !subject.SaidRate)
        {
            subject.SaidRate = true;
            _progress.Report(Invariant($"{guest.Name}, {guest.LinkMBps} MB/s: the guest rewrites {rate * PageBytes / 1e6:0} MB/s"));
        }
        return speed;
    }

    private void Say(MigrationRun run) => _progress.Report(Invariant(
        $"{run.Guest}, {run.LinkMBps} MB/s, {run.Policy}, run {run.Repetition} of {_settings.Runs}: {(run.Succeeded ? "" : "not finished, ")}{run.TotalSeconds:0.00} s, {run.SentBytes / 1e6:0} MB")
        + (run.PauseMs is { } pause ? Invariant($", paused {pause:0} ms") : "") + (run.GuestSpeed is { } speed ? Invariant($", guest at {speed:0.00}") : ""));

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>A guest, wherever it is now.</summary>
    private sealed class Subject(BenchGuest guest, MovableGuest here) : IAsyncDisposable
    {
        public BenchGuest Guest { get; } = guest;
        public MovableGuest Here { get; set; } = here;
        public bool SaidRate { get; set; }

        public ValueTask DisposeAsync() => Here.DisposeAsync();
    }
}
