using System.Diagnostics;
using System.Globalization;
using Pollux.Core;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench.Modes;

/// <param name="Window">What is measured of each load, mode and repetition.</param>
/// <param name="Floor">How the capture is compared with its floor; null: not.</param>
public sealed record ModesSettings(IReadOnlyList<ModeLoad> Loads, TimeSpan Window, int Repetitions, CheckpointBenchSettings? Floor, bool IsQuick);

/// <summary>
/// All ways of running a guest in one run, so that what else the machine does hits all alike: in each repetition every load, under it every mode, in another
/// order each time. One life of the guest under Pollux's keeper goes through Pollux's modes, one of a COLO pair through COLO's.
/// </summary>
public sealed class ModesBench
{
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(700);
    private static readonly TimeSpan Boot = TimeSpan.FromSeconds(90);
    private readonly LabCluster _lab;
    private readonly ModesSettings _settings;
    private readonly IProgress<string> _progress;
    private readonly List<ModeRun> _runs = [];
    private readonly List<string> _failures = [];
    private string _qemuVersion = "";
    private string _linuxAccelerator = "";

    private ModesBench(LabCluster lab, ModesSettings settings, IProgress<string> progress) => (_lab, _settings, _progress) = (lab, settings, progress);

    /// <summary>Measures in a lab of two hosts that is up and has no VM.</summary>
    /// <exception cref="PolluxException">Pollux's own guest could not be measured. What COLO does not do is told in the report.</exception>
    public static async Task<ModesReport> RunAsync(LabCluster lab, ModesSettings settings, IProgress<string> progress, CancellationToken cancellation)
    {
        var bench = new ModesBench(lab, settings, progress);
        var host = BenchHost.Here();
        for (var repetition = 1; repetition <= settings.Repetitions; repetition++)
        {
            foreach (var load in settings.Loads)
            {
                await bench.MeasureAsync(load, repetition, cancellation).ConfigureAwait(false);
            }
        }
        var floor = settings.Floor is { } f ? (await CheckpointBench.RunAsync(f, progress, cancellation).ConfigureAwait(false)).Rows : [];
        var rows = ModesSummary.Rows(bench._runs);
        return new ModesReport(host, bench._qemuVersion, settings.IsQuick, ModesSummary.Goals(rows, floor), rows, floor, bench._failures, bench._runs);
    }

    private async Task MeasureAsync(ModeLoad load, int repetition, CancellationToken cancellation)
    {
        var own = InOrder([.. load.Modes.Where(m => m is not Mode.Colo)], repetition);
        _progress.Report($"{load.Name}, repetition {repetition} of {_settings.Repetitions}");
        var guest = await PolluxGuest.StartAsync(_lab, load, cancellation).ConfigureAwait(false);
        await using (guest.ConfigureAwait(false))
        {
            _qemuVersion = guest.QemuVersion;
            _linuxAccelerator = load.IsKvm ? _linuxAccelerator : guest.Accelerator;
            await ThroughAsync(guest, own, load, guest.Accelerator, repetition, cancellation).ConfigureAwait(false);
        }
        var accelerator = load.IsKvm || _linuxAccelerator == "kvm" ? Accelerator.Kvm : Accelerator.Tcg;
        try
        {
            var pair = await ColoGuest.StartAsync(_lab, load, accelerator, cancellation).ConfigureAwait(false);
            await using (pair.ConfigureAwait(false))
            {
                await ThroughAsync(pair, InOrder([.. load.Modes.OfType<Mode.Colo>()], repetition), load, load.IsKvm ? "kvm" : _linuxAccelerator, repetition, cancellation).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is PolluxException or IOException)
        {
            // It is stock QEMU's: the comparison goes on without it.
            Fail($"{load.Name}, COLO, repetition {repetition}: {e.Message}");
        }
    }

    /// <summary>Each repetition begins with another mode; unprotected stays at an end, since to leave protection and to come back takes its time.</summary>
    private static IReadOnlyList<Mode> InOrder(IReadOnlyList<Mode> modes, int repetition)
    {
        var others = modes.Where(m => m is not Mode.Unprotected).ToList();
        var turned = others.Skip(repetition % others.Count).Concat(others.Take(repetition % others.Count));
        var alone = modes.OfType<Mode.Unprotected>();
        return repetition % 2 == 1 ? [.. alone, .. turned] : [.. turned, .. alone];
    }

    private async Task ThroughAsync(ModeGuest guest, IReadOnlyList<Mode> modes, ModeLoad load, string accelerator, int repetition, CancellationToken cancellation)
    {
        // Until it serves, as long as nothing holds what it says.
        var probe = load.IsKvm ? null : await RedisGuest.LoadAsync(_lab, (ulong)repetition, Boot, cancellation, load.Clients == 1 ? default : Quiet).ConfigureAwait(false);
        var crowd = load.Clients > 1 ? await RedisCrowd.StartAsync(_lab.OpenClientSocket, RedisGuest.Server, load.Clients, cancellation).ConfigureAwait(false) : null;
        try
        {
            GuestWork? work = load.PagesPerSecond == 0 ? null : load.IsKvm ? new GuestWork.InRam(guest.RamFile, load.PagesPerRound) : new GuestWork.OnConsole(guest.SerialLog);
            await (work?.BegunAsync(Boot, cancellation) ?? Task.CompletedTask).ConfigureAwait(false);
            foreach (var mode in modes)
            {
                var what = $"{load.Name}, {mode.Name}, repetition {repetition}";
                try
                {
                    await guest.EnterAsync(mode, cancellation).ConfigureAwait(false);
                    await Task.Delay(Settling, cancellation).ConfigureAwait(false);
                    _runs.Add(await WindowAsync(guest, mode, load, accelerator, repetition, crowd?.Log ?? probe?.Log, work, cancellation).ConfigureAwait(false));
                }
                catch (PolluxException e) when (mode is Mode.Colo)
                {
                    Fail($"{what}: {e.Message}");
                }
            }
        }
        finally
        {
            if (crowd is not null)
            {
                await crowd.DisposeAsync().ConfigureAwait(false);
            }
            if (probe is not null)
            {
                await probe.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private static TimeSpan Quiet => TimeSpan.FromSeconds(1.0 / ModeLoad.QuietRequestsPerSecond);

    private async Task<ModeRun> WindowAsync(
        ModeGuest guest, Mode mode, ModeLoad load, string accelerator, int repetition, RequestLog? log, GuestWork? work, CancellationToken cancellation)
    {
        await guest.BeginAsync(mode, cancellation).ConfigureAwait(false);
        var workBefore = work is null ? default : await work.NextAsync(cancellation).ConfigureAwait(false);
        var (begin, bytes, cpu) = (Stopwatch.GetTimestamp(), LinkBytes(), CpuTime());
        await Task.Delay(_settings.Window, cancellation).ConfigureAwait(false);
        var (end, after, cpuAfter) = (Stopwatch.GetTimestamp(), LinkBytes(), CpuTime());
        var seconds = Stopwatch.GetElapsedTime(begin, end).TotalSeconds;
        var workAfter = work is null ? default : await work.NextAsync(cancellation).ConfigureAwait(false);
        var checkpoints = await guest.EndAsync(Stopwatch.GetElapsedTime(begin).TotalSeconds, cancellation).ConfigureAwait(false);
        var trips = log?.RoundTripsBetween(begin, end) ?? LatencySummary.Of([]);
        return new ModeRun(
            load.Name, mode.Name, repetition, seconds, accelerator, checkpoints.PerSecond, checkpoints.PauseMs, checkpoints.PagesP50, trips, trips.Count / seconds,
            (after - bytes) / seconds, work is null ? null : WorkMark.PerSecond(workBefore, workAfter),
            (cpuAfter.Qemu - cpu.Qemu) / seconds, (cpuAfter.Others - cpu.Others) / seconds, BenchHost.LoadNow());
    }

    /// <summary>Seconds of a processor that the guest's QEMU and all else on the two hosts have used so far.</summary>
    private (double Qemu, double Others) CpuTime()
    {
        var all = _lab.Hosts.Sum(h => h.Cgroup.CpuTime().TotalSeconds);
        var qemu = _lab["h1"].FindQemus().Sum(UsedBy);
        return (qemu, all - qemu);
    }

    private static double UsedBy(int process)
    {
        using var seen = Process.GetProcessById(process);
        return seen.TotalProcessorTime.TotalSeconds;
    }

    /// <summary>Received and sent at the replication port of the host that runs the guest (proc_net(5), dev).</summary>
    private long LinkBytes()
    {
        const int received = 0;
        const int sent = 8;
        var line = File.ReadLines($"/proc/{_lab["h1"].InitProcess()}/net/dev").First(l => l.TrimStart().StartsWith("mgmt:", StringComparison.Ordinal));
        var numbers = line.Split(':')[1].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(n => long.Parse(n, CultureInfo.InvariantCulture)).ToArray();
        return numbers[received] + numbers[sent];
    }

    private void Fail(string what)
    {
        _failures.Add(what);
        _progress.Report($"not measured: {what}");
    }
}
