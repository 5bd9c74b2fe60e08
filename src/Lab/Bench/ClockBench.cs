using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;

namespace Pollux.Lab.Bench;

/// <summary>The guest's clock in one situation.</summary>
/// <param name="Chrony">The guest runs chrony.</param>
/// <param name="DriftPercent">Of true time, over the whole of it: how much slower (negative) the clock went.</param>
/// <param name="WorstMs">The offset farthest from true, of those in the second half: what chrony leaves once it has settled.</param>
/// <param name="StoppedPercent">How much of the time checkpoints had the guest stopped, by QEMU's own events.</param>
/// <param name="StepsBack">How often it was seen to go backwards.</param>
public sealed record ClockRow(
    string Situation, bool Chrony, double Seconds, double BeginMs, double EndMs, double WorstMs, double DriftPercent, double CheckpointsPerSecond, double StoppedPercent, int StepsBack);

public sealed record ClockReport(BenchHost Host, string QemuVersion, string Accelerator, IReadOnlyList<ClockRow> Rows);

/// <summary>What protection does to the guest's clock: each pause stops it, and a takeover sets it back. With chrony in the guest, and without.</summary>
public static class ClockBench
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan Between = TimeSpan.FromSeconds(1);

    /// <param name="each">The length of each situation.</param>
    public static async Task<ClockReport> RunAsync(LabCluster lab, TimeSpan each, IProgress<string> progress, CancellationToken cancellation)
    {
        var host = BenchHost.Here();
        using var time = TimeServer.Start(lab);
        var rows = new List<ClockRow>();
        var (qemu, accelerator) = ("", "");
        foreach (var chrony in (bool[])[false, true])
        {
            var vm = await RedisGuest.StartAsync(lab, chrony ? RedisGuest.WithChrony : null, cancellation).ConfigureAwait(false);
            await vm.UntilAsync(v => v.State == "running", "running", Patience, cancellation).ConfigureAwait(false);
            await using (await RedisGuest.LoadAsync(lab, 1, Patience, cancellation).ConfigureAwait(false))
            {
                // Until it serves.
            }
            using var clock = GuestClock.Open(lab.OpenClientSocket);
            async Task Watch(string situation)
            {
                progress.Report($"{situation}{(chrony ? ", chrony in the guest" : "")}, {each.TotalSeconds:0.#} s");
                rows.Add(await WatchAsync(situation, chrony, vm, clock, each, cancellation).ConfigureAwait(false));
            }
            await Watch("unprotected").ConfigureAwait(false);
            await vm.ProtectAsync(cancellation).ConfigureAwait(false);
            var before = await vm.UntilAsync(v => v.State == "protected", "protected", Patience, cancellation).ConfigureAwait(false);
            await Watch("protected").ConfigureAwait(false);
            var victim = before.Host.Value;
            using (var fault = lab.Prepare(new LabFault.PowerOff(victim)))
            {
                fault.Strike();
            }
            await Watch("after a takeover").ConfigureAwait(false);
            var keeper = (await vm.ShowAsync(cancellation).ConfigureAwait(false)).Keepers.Select(k => k.Status).First(s => s is not null)!;
            (qemu, accelerator) = (keeper.QemuVersion, keeper.Accelerator);
            await vm.DeleteAsync(cancellation).ConfigureAwait(false);
            await lab.PowerOnAsync(victim, cancellation).ConfigureAwait(false);
        }
        return new ClockReport(host, qemu, accelerator, rows);
    }

    private static async Task<ClockRow> WatchAsync(string situation, bool chrony, LabVm vm, GuestClock clock, TimeSpan each, CancellationToken cancellation)
    {
        var before = await CheckpointsAsync(vm, cancellation).ConfigureAwait(false);
        var stepsBack = clock.StepsBack;
        var readings = new List<ClockReading> { clock.Read() };
        while (readings[^1].AtUnixMs - readings[0].AtUnixMs < each.TotalMilliseconds)
        {
            await Task.Delay(Between, cancellation).ConfigureAwait(false);
            readings.Add(clock.Read());
        }
        var after = await CheckpointsAsync(vm, cancellation).ConfigureAwait(false);
        var seconds = (readings[^1].AtUnixMs - readings[0].AtUnixMs) / 1000;
        return new ClockRow(
            situation, chrony, seconds, readings[0].OffsetMs, readings[^1].OffsetMs, readings.Skip(readings.Count / 2).MaxBy(r => Math.Abs(r.OffsetMs))!.OffsetMs,
            (readings[^1].OffsetMs - readings[0].OffsetMs) / seconds / 10, Math.Max(0, after.Count - before.Count) / seconds,
            Math.Max(0, after.StoppedMs - before.StoppedMs) / seconds / 10, clock.StepsBack - stepsBack);
    }

    /// <summary>Of the side that runs it; a new one begins anew.</summary>
    private static async Task<(long Count, double StoppedMs)> CheckpointsAsync(LabVm vm, CancellationToken cancellation)
    {
        var seen = await vm.ShowAsync(cancellation).ConfigureAwait(false);
        return seen.KeeperOn(seen.Host)?.Checkpoints is { } checkpoints ? (checkpoints.Count, checkpoints.Pauses?.SumMs ?? 0) : default;
    }
}
