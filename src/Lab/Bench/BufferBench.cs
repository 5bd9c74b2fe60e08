using System.Diagnostics;
using System.Globalization;
using System.Text;
using Pollux.Core;
using Pollux.Lab.Bench.Modes;
using Pollux.Lab.Bench.Plots;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench;

/// <summary>The buffers at one moment. Bytes are of the primary's keeper.</summary>
/// <param name="Seconds">Since the begin.</param>
/// <param name="DirtyMBPerSecond">What the guest's loop rewrites.</param>
/// <param name="IntervalMs">Mean time between two checkpoints since the sample before; null: there was none.</param>
/// <param name="PauseMs">Mean pause of these.</param>
/// <param name="PeakBytes">The most that was used at once in sixteen checkpoints.</param>
/// <param name="TargetBytes">What the keeper keeps in view of the peaks so far.</param>
public sealed record BufferSample(
    double Seconds, double DirtyMBPerSecond, double? IntervalMs, double? PauseMs, double CapturedMBPerSecond, long UsedBytes, long PeakBytes, long TargetBytes, long AllocatedBytes);

/// <summary>The adaptive buffer and the adaptive trigger over a load that rises and falls.</summary>
public sealed record BufferReport(BenchHost Host, string QemuVersion, string Accelerator, long CeilingBytes, IReadOnlyList<int> PagesPerSecond, IReadOnlyList<BufferSample> Samples);

/// <summary>A guest whose loop writes ever more, and then ever less; every quarter of a second the keeper is asked for its buffers.</summary>
public static class BufferBench
{
    public const string Plot = "buffer.svg";
    private const double MB = 1e6;
    private const double MiB = 1 << 20;
    private const int PageBytes = 4096;
    private const int SecondsEach = 5;

    /// <summary>So long that the fastest rates reach the trigger's number of dirty pages before it.</summary>
    private const int IntervalMs = 200;
    private static readonly int[] Rates = [250, 2_500, 10_000, 25_000, 50_000, 25_000, 10_000, 2_500, 250];
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    /// <summary>One round of the rates, after the guest is protected.</summary>
    public static async Task<BufferReport> RunAsync(LabCluster lab, IProgress<string> progress, CancellationToken cancellation)
    {
        var host = BenchHost.Here();
        var vm = await RedisGuest.StartAsync(lab, example => example with
        {
            CommandLine = $"{example.CommandLine} quiet pollux.dirty=64:{string.Join('/', Rates)}",
            FaultTolerance = example.FaultTolerance with { IntervalMs = IntervalMs, DetectionMs = 2000 },
        }, cancellation).ConfigureAwait(false);
        await using (var load = await RedisGuest.LoadAsync(lab, 1, Patience, cancellation).ConfigureAwait(false))
        {
            // Until it serves.
        }
        progress.Report("protecting the guest");
        await vm.ProtectAsync(cancellation).ConfigureAwait(false);
        await vm.UntilAsync(v => v.State == "protected", "protected", Patience, cancellation).ConfigureAwait(false);
        var work = new GuestWork.OnConsole(ModeGuest.InHost(lab, "h1", $"/run/pollux/vms/{vm.Name}/serial.log"));
        progress.Report($"{Rates.Length * SecondsEach} s of rates from {N(Rates.Min() * PageBytes / MB)} to {N(Rates.Max() * PageBytes / MB)} MB/s");
        var samples = new List<BufferSample>();
        var begin = Stopwatch.GetTimestamp();
        var before = await LookAsync(vm, work, cancellation).ConfigureAwait(false);
        var last = before;
        while (Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(Rates.Length * SecondsEach))
        {
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
            var now = await LookAsync(vm, work, cancellation).ConfigureAwait(false);
            samples.Add(Between(before, now, begin));
            (before, last) = (now, now);
        }
        await vm.DeleteAsync(cancellation).ConfigureAwait(false);
        return new BufferReport(host, last.Keeper.QemuVersion, last.Keeper.Accelerator, last.Keeper.Buffers.CeilingBytes, Rates, samples);
    }

    private sealed record Look(Cluster.Keepers.KeeperStatus Keeper, long Ticks, WorkMark Work);

    private static async Task<Look> LookAsync(LabVm vm, GuestWork work, CancellationToken cancellation)
    {
        var mark = await work.NextAsync(cancellation).ConfigureAwait(false);
        var shown = await vm.ShowAsync(cancellation).ConfigureAwait(false);
        var keeper = shown.KeeperOn(shown.Host) ?? throw new PolluxException($"the keeper of {vm.Name} on {shown.Host} does not answer");
        return new Look(keeper, Stopwatch.GetTimestamp(), mark);
    }

    private static BufferSample Between(Look a, Look b, long begin)
    {
        var seconds = Stopwatch.GetElapsedTime(a.Ticks, b.Ticks).TotalSeconds;
        var checkpoints = b.Keeper.Checkpoints.Count - a.Keeper.Checkpoints.Count;
        var pauses = b.Keeper.Checkpoints.Pauses is { } later && a.Keeper.Checkpoints.Pauses is { } earlier ? later.SumMs - earlier.SumMs : 0;
        var captured = (b.Keeper.Shipping?.CapturedBytes ?? 0) - (a.Keeper.Shipping?.CapturedBytes ?? 0);
        var buffers = b.Keeper.Buffers;
        return new BufferSample(
            Stopwatch.GetElapsedTime(begin, b.Ticks).TotalSeconds, WorkMark.PerSecond(a.Work, b.Work) * PageBytes / MB, checkpoints > 0 ? 1000 * seconds / checkpoints : null,
            checkpoints > 0 ? pauses / checkpoints : null, captured / MB / seconds, buffers.UsedBytes, buffers.PeakBytes, buffers.TargetBytes, buffers.AllocatedBytes);
    }

    public static string PlotOf(BufferReport report)
    {
        LineSeries Line(string name, Func<BufferSample, double?> value) =>
            new(name, [.. report.Samples.Where(s => value(s) is not null).Select(s => (s.Seconds, value(s)!.Value))]);
        LineSeries[] rates = [Line("the guest rewrites", s => s.DirtyMBPerSecond), Line("captured", s => s.CapturedMBPerSecond)];
        LineSeries[] buffers = [Line("target", s => s.TargetBytes / MiB), Line("allocated", s => s.AllocatedBytes / MiB), Line("used, at most in 16 checkpoints", s => s.PeakBytes / MiB)];
        LineSeries[] times = [Line("interval", s => s.IntervalMs), Line("pause", s => s.PauseMs)];
        static IEnumerable<double> Values(IEnumerable<LineSeries> lines) => lines.SelectMany(l => l.Points).Select(p => p.Y);
        return new LineChart(
            "The adaptive buffer over a load that rises and falls",
            $"adaptive trigger, interval at most {IntervalMs} ms, buffers at most {N(report.CeilingBytes / MiB)} MiB, QEMU {report.QemuVersion} ({report.Accelerator}); each point is some 0.3 s",
            Axis.Linear("seconds", report.Samples.Select(s => s.Seconds)),
            [new LinePanel(Axis.Linear("MB/s", Values(rates)), rates), new LinePanel(Axis.Linear("MiB", Values(buffers)), buffers), new LinePanel(Axis.Log("ms", Values(times)), times)]).ToSvg();
    }

    /// <summary>The run in spans of one rate's length; medians of their samples. Nobody knows how far into a rate the guest was when the run began.</summary>
    public static IReadOnlyList<BufferStep> StepsOf(BufferReport report) => [.. report.Samples.GroupBy(s => (int)(s.Seconds / SecondsEach)).Select(step =>
    {
        double Median(Func<BufferSample, double?> of) => Spread.Of(step.Select(of).OfType<double>()).Median;
        return new BufferStep(
            Median(s => s.DirtyMBPerSecond), Median(s => s.IntervalMs), Median(s => s.PauseMs), Median(s => s.CapturedMBPerSecond),
            Median(s => s.PeakBytes), Median(s => s.TargetBytes), Median(s => s.AllocatedBytes));
    })];

    /// <summary>The run as a Markdown page.</summary>
    public static string PageOf(BufferReport report)
    {
        var page = new StringBuilder("# The adaptive buffer over a load that rises and falls\n\n");
        page.Append(CultureInfo.InvariantCulture, $"Written by `pollux bench buffer --out DIRECTORY`; every sample is in [buffer.json](buffer.json).\n\n{report.Host}, QEMU {report.QemuVersion} ({report.Accelerator}).\n\n");
        page.Append(CultureInfo.InvariantCulture, $"![The buffers over time]({Plot})\n\n");
        page.Append(CultureInfo.InvariantCulture, $"In spans of {SecondsEach} s, medians of what the keeper said every {N(Pace.TotalSeconds)} s or later:\n\n");
        page.Append("| dirty, MB/s | interval, ms | pause, ms | captured, MB/s | used at most, MiB | target, MiB | allocated, MiB |\n|---|---|---|---|---|---|---|\n");
        foreach (var s in StepsOf(report))
        {
            page.Append(CultureInfo.InvariantCulture,
                $"| {N(s.DirtyMBPerSecond)} | {N(s.IntervalMs)} | {N(s.PauseMs)} | {N(s.CapturedMBPerSecond)} | {N(s.PeakBytes / MiB)} | {N(s.TargetBytes / MiB)} | {N(s.AllocatedBytes / MiB)} |\n");
        }
        return page.ToString();
    }
}

/// <summary>Medians over some seconds of a run.</summary>
public sealed record BufferStep(double DirtyMBPerSecond, double IntervalMs, double PauseMs, double CapturedMBPerSecond, double PeakBytes, double TargetBytes, double AllocatedBytes);
