using System.Diagnostics;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Bench;
using Pollux.Lab.Faults;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Pollux.Replication.Pair;

namespace Pollux.Lab.Demo;

/// <summary>
/// A protected VM under load, its host struck, and what a client saw. The client is one connection from before the protection to
/// after the fault; whatever happens between is seen through it.
/// </summary>
public sealed class DemoRun
{
    private static readonly TimeSpan Boot = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Protect = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Answer = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Baseline = TimeSpan.FromSeconds(4);

    /// <summary>Left out of the round trips at the begin of a span: code and caches are cold.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(1);

    /// <summary>The load goes on for so long after the first answer, and after a thaw: a late harm shows.</summary>
    private static readonly TimeSpan Afterwards = TimeSpan.FromSeconds(2);

    private readonly LabCluster _lab;
    private readonly DemoSettings _settings;
    private readonly IProgress<string> _progress;
    private LabVm _vm = null!;
    private Spread _unprotected = new(0, 0);

    private DemoRun(LabCluster lab, DemoSettings settings, IProgress<string> progress) => (_lab, _settings, _progress) = (lab, settings, progress);

    /// <summary>Does all of it in a lab of two hosts that is up and has no VM yet. The timeline is the last round's.</summary>
    /// <exception cref="PolluxException">It could not come so far as to strike.</exception>
    public static async Task<(DemoReport Report, DemoTimeline? Timeline)> RunAsync(
        LabCluster lab, DemoSettings settings, IProgress<string> progress, CancellationToken cancellation)
    {
        var (demo, host) = (new DemoRun(lab, settings, progress), BenchHost.Here());
        var rounds = new List<DemoReport>();
        DemoTimeline? timeline = null;
        await demo.StartGuestAsync(cancellation).ConfigureAwait(false);
        for (var round = 1; round <= settings.Rounds; round++)
        {
            (var report, timeline) = await demo.RoundAsync(round, cancellation).ConfigureAwait(false);
            rounds.Add(report);
        }
        return (DemoSummary.Of(rounds) with { Host = host }, timeline);
    }

    private async Task StartGuestAsync(CancellationToken cancellation)
    {
        _progress.Report($"starting a Linux guest with Redis on h1");
        _vm = await RedisGuest.StartAsync(_lab, example => example with
        {
            Accelerator = _settings.Accelerator,
            FaultTolerance = example.FaultTolerance with { Trigger = _settings.Trigger },
        }, cancellation).ConfigureAwait(false);
    }

    private async Task<(DemoReport, DemoTimeline?)> RoundAsync(int round, CancellationToken cancellation)
    {
        await using var load = await StartLoadAsync(round, cancellation).ConfigureAwait(false);
        if (round == 1)
        {
            await MeasureUnprotectedAsync(load, cancellation).ConfigureAwait(false);
        }
        var before = await ProtectedAsync(round, cancellation).ConfigureAwait(false);
        var victim = before.Role!.Primary.Host;
        var begin = Stopwatch.GetTimestamp();
        _progress.Report($"protected: {victim} runs the guest, {before.Role.Standby!.Host} stands by; the client works on for {_settings.Load.TotalSeconds:0.#} s");
        await Task.Delay(_settings.Load, cancellation).ConfigureAwait(false);

        before = await _vm.ShowAsync(cancellation).ConfigureAwait(false);
        var primary = before.KeeperOn(victim) ?? throw new PolluxException($"the keeper on {victim} does not answer", "see its log in the lab");
        var struck = Strike(victim);
        _progress.Report($"{_settings.Fault} of {victim}");
        var answered = await load.IsAnsweredAfterAsync(struck.StopwatchTicks + Ticks(struck.Grace), Answer, cancellation).ConfigureAwait(false);
        await Task.Delay(Afterwards, cancellation).ConfigureAwait(false);
        await MendAsync(victim, round, cancellation).ConfigureAwait(false);

        _progress.Report("reading every acknowledged write back");
        var end = Stopwatch.GetTimestamp();
        var found = await load.FinishAsync(Answer).ConfigureAwait(false);
        var after = answered ? await _vm.ShowAsync(cancellation).ConfigureAwait(false) : before;
        var seen = new Seen(primary, victim, after, struck, load.Log, begin, end, found);
        return (Report(seen), Timeline(seen));
    }

    private async Task<RedisLoad> StartLoadAsync(int round, CancellationToken cancellation)
    {
        _progress.Report(round == 1 ? "waiting for its Redis" : $"round {round} of {_settings.Rounds}");
        return await RedisGuest.LoadAsync(_lab, (ulong)round, Boot, cancellation).ConfigureAwait(false);
    }

    private async Task MeasureUnprotectedAsync(RedisLoad load, CancellationToken cancellation)
    {
        _progress.Report($"measuring {Baseline.TotalSeconds:0.#} s unprotected");
        var begin = Stopwatch.GetTimestamp();
        await Task.Delay(Baseline, cancellation).ConfigureAwait(false);
        _unprotected = SpreadOf(load.Log.RoundTripsBetween(begin + Ticks(Settling), long.MaxValue));
    }

    /// <summary>Protects in the first round; later the agents do so by themselves, once a second host is there.</summary>
    private async Task<VmDocument> ProtectedAsync(int round, CancellationToken cancellation)
    {
        if (round == 1)
        {
            _progress.Report("protecting it, under load");
            await _vm.ProtectAsync(cancellation).ConfigureAwait(false);
        }
        return await _vm.UntilAsync(s => s is { State: "protected", Role: { State: RoleState.Protected, Standby: not null } }, "protected", Protect, cancellation).ConfigureAwait(false);
    }

    private StruckFault Strike(HostId victim)
    {
        using var fault = _lab.Prepare(_settings.FaultOn(victim, _vm.Name));
        return fault.Strike();
    }

    /// <summary>A frozen host thaws under load, which must change nothing. A host that is off is needed for the next round only.</summary>
    private async Task MendAsync(HostId victim, int round, CancellationToken cancellation)
    {
        switch (_settings.Fault)
        {
            case "freeze":
                using (var thaw = _lab.Prepare(new LabFault.Thaw(victim.Value)))
                {
                    thaw.Strike();
                }
                _progress.Report($"{victim} thaws, and must find that it has lost the guest");
                await Task.Delay(Afterwards, cancellation).ConfigureAwait(false);
                break;
            case "power-off" when round < _settings.Rounds:
                await _lab.PowerOnAsync(victim.Value, cancellation).ConfigureAwait(false);
                break;
        }
    }

    private DemoReport Report(Seen seen)
    {
        var status = seen.Primary.Checkpoints;
        var protectedTrips = seen.Log.RoundTripsBetween(seen.BeginTicks + Ticks(Settling), seen.Struck.StopwatchTicks);
        var client = new DemoClient(
            seen.Found.Requests, seen.Found.Acknowledged, seen.Found.Lost, seen.Found.WrongAnswers, seen.Found.ConnectionSurvived,
            new RoundTrips(_unprotected, SpreadOf(protectedTrips)),
            Rounded(seen.Log.LongestGapBetween(seen.BeginTicks, seen.EndTicks)?.Ms ?? 0), seen.Found.FirstComplaint);
        var takeover = seen.Takeover is { } t && seen.Outage is { } outage
            ? new DemoTakeover(Rounded(t.DetectMs), Rounded(t.ArbitrateMs), Rounded(t.ResumeMs), Rounded(Since(seen.Struck, outage.ToTicks)))
            : null;
        return new DemoReport(
            seen.Primary.QemuVersion, seen.Primary.Accelerator, _settings.Fault, _settings.Trigger, seen.IsTakeover ? "takeover" : "solo",
            new DemoCheckpoints(status.Count, Rounded(status.PerSecond),
                new PauseSpread(Rounded(status.PauseMs.P50), Rounded(status.PauseMs.P99), Rounded(status.PauseMs.Max)),
                new Spread(status.Pages.P50, status.Pages.P99)),
            client, takeover, null);
    }

    private DemoTimeline? Timeline(Seen seen) => seen.Outage is not { } outage ? null : new DemoTimeline(
        _settings.Fault, seen.Victim, seen.After.Role?.Primary.Host ?? seen.Victim,
        seen.Takeover?.DecidedUnixMs - seen.Struck.UnixMs, seen.Takeover?.GateOpenUnixMs - seen.Struck.UnixMs, Since(seen.Struck, outage.ToTicks),
        [.. seen.Log.AnsweredBetween(seen.BeginTicks, seen.EndTicks).Select(e => Since(seen.Struck, e.ReplyTicks))]);

    private static Spread SpreadOf(LatencySummary summary) => new(Rounded(summary.P50), Rounded(summary.P99));

    private static double Since(StruckFault struck, long ticks) => (ticks - struck.StopwatchTicks) * 1000.0 / Stopwatch.Frequency;

    private static long Ticks(TimeSpan span) => (long)(span.TotalSeconds * Stopwatch.Frequency);

    private static double Rounded(double ms) => Math.Round(ms, 3);

    /// <summary>A round as it was seen.</summary>
    private sealed record Seen(
        KeeperStatus Primary, HostId Victim, VmDocument After, StruckFault Struck, RequestLog Log, long BeginTicks, long EndTicks, LoadReport Found)
    {
        internal bool IsTakeover => After.Role is { } role && role.Primary.Host != Victim;

        internal TakeoverStatus? Takeover => IsTakeover ? After.KeeperOn(After.Role!.Primary.Host)?.LastTakeover : null;

        internal Gap? Outage { get; } = Log.OutageAt(Struck.StopwatchTicks, Struck.Grace);
    }
}
