using System.Diagnostics;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench;

/// <summary>Benchmarks of the real pair, in a lab of two hosts with the Redis guest.</summary>
public static class LabBench
{
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(1);

    /// <summary>Takeover by the guest's RAM: for each size, the host of a protected VM loses its power.</summary>
    public static async Task<TakeoverReport> TakeoverAsync(
        LabCluster lab, IReadOnlyList<int> sizesMiB, int rounds, IProgress<string> progress, CancellationToken cancellation)
    {
        var host = BenchHost.Here();
        var rows = new List<TakeoverRow>();
        KeeperStatus? keeper = null;
        foreach (var size in sizesMiB)
        {
            var vm = await StartAsync(lab, $"redis-{size}", size, cancellation).ConfigureAwait(false);
            await using (var load = await RedisGuest.LoadAsync(lab, 1, Patience, cancellation).ConfigureAwait(false))
            {
                // Until it serves; the takeover's time is told by the keeper.
            }
            var (detect, arbitrate, resume, copy) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
            for (var round = 1; round <= rounds; round++)
            {
                progress.Report($"{size} MiB, round {round} of {rounds}");
                var begin = Stopwatch.GetTimestamp();
                if (round == 1)
                {
                    await vm.ProtectAsync(cancellation).ConfigureAwait(false);
                }
                var before = await vm.UntilAsync(v => v.State == "protected", "protected", Patience, cancellation).ConfigureAwait(false);
                copy.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
                await Task.Delay(Settling, cancellation).ConfigureAwait(false);
                keeper = await StrikeAsync(lab, vm, before, cancellation).ConfigureAwait(false);
                detect.Add(keeper.LastTakeover!.DetectMs);
                arbitrate.Add(keeper.LastTakeover.ArbitrateMs);
                resume.Add(keeper.LastTakeover.ResumeMs);
            }
            rows.Add(new TakeoverRow(size, rounds, LatencySummary.Of(detect), LatencySummary.Of(arbitrate), LatencySummary.Of(resume), LatencySummary.Of(copy)));
            await vm.DeleteAsync(cancellation).ConfigureAwait(false);
        }
        return new TakeoverReport(host, keeper?.QemuVersion ?? "", keeper?.Accelerator ?? "", rows);
    }

    /// <summary>The round trip of one client in a closed loop: unprotected, then by trigger, on one guest.</summary>
    public static async Task<RoundTripReport> RoundTripAsync(LabCluster lab, TimeSpan each, IProgress<string> progress, CancellationToken cancellation)
    {
        var host = BenchHost.Here();
        var vm = await StartAsync(lab, "redis", 256, cancellation).ConfigureAwait(false);
        var load = await RedisGuest.LoadAsync(lab, 1, Patience, cancellation).ConfigureAwait(false);
        await using (load.ConfigureAwait(false))
        {
            var rows = new List<RoundTripRow> { await MeasureAsync("unprotected", vm, load, each, progress, cancellation).ConfigureAwait(false) };
            await vm.ProtectAsync(cancellation).ConfigureAwait(false);
            await vm.UntilAsync(v => v.State == "protected", "protected", Patience, cancellation).ConfigureAwait(false);
            foreach (var trigger in (string[])["periodic", "on-output", "adaptive"])
            {
                await vm.SetAsync(new ProtectionSettings(Trigger: trigger), cancellation).ConfigureAwait(false);
                rows.Add(await MeasureAsync(trigger, vm, load, each, progress, cancellation).ConfigureAwait(false));
            }
            var keeper = PrimaryOf(await vm.ShowAsync(cancellation).ConfigureAwait(false));
            return new RoundTripReport(host, keeper.QemuVersion, keeper.Accelerator, rows);
        }
    }

    private static async Task<RoundTripRow> MeasureAsync(
        string mode, LabVm vm, RedisLoad load, TimeSpan each, IProgress<string> progress, CancellationToken cancellation)
    {
        progress.Report($"{mode}, {each.TotalSeconds:0.#} s");
        await Task.Delay(Settling, cancellation).ConfigureAwait(false);
        var checkpoints = PrimaryOf(await vm.ShowAsync(cancellation).ConfigureAwait(false)).Checkpoints.Count;
        var begin = Stopwatch.GetTimestamp();
        await Task.Delay(each, cancellation).ConfigureAwait(false);
        var end = Stopwatch.GetTimestamp();
        var after = PrimaryOf(await vm.ShowAsync(cancellation).ConfigureAwait(false)).Checkpoints;
        var trips = load.Log.RoundTripsBetween(begin, end);
        var seconds = Stopwatch.GetElapsedTime(begin, end).TotalSeconds;
        return new RoundTripRow(mode, trips, trips.Count / seconds, mode == "unprotected" ? 0 : (after.Count - checkpoints) / seconds, after.PauseMs.P50);
    }

    private static async Task<KeeperStatus> StrikeAsync(LabCluster lab, LabVm vm, VmDocument before, CancellationToken cancellation)
    {
        var victim = before.Role!.Primary.Host;
        using (var fault = lab.Prepare(new LabFault.PowerOff(victim.Value)))
        {
            fault.Strike();
        }
        var after = await vm.UntilAsync(
            v => v.Host != victim && PrimaryIn(v)?.LastTakeover is not null, "taken over", Patience, cancellation).ConfigureAwait(false);
        await lab.PowerOnAsync(victim.Value, cancellation).ConfigureAwait(false);
        return PrimaryOf(after);
    }

    internal static async Task<LabVm> StartAsync(LabCluster lab, string name, int memoryMiB, CancellationToken cancellation, Func<VmSpec, VmSpec>? change = null)
    {
        var vm = await RedisGuest.StartAsync(lab, example =>
        {
            var spec = example with { Name = VmName.Create(name), MemoryBytes = (long)memoryMiB << 20 };
            return change?.Invoke(spec) ?? spec;
        }, cancellation).ConfigureAwait(false);
        await vm.UntilAsync(v => v.State == "running", "running", Patience, cancellation).ConfigureAwait(false);
        return vm;
    }

    private static KeeperStatus? PrimaryIn(VmDocument vm) => vm.KeeperOn(vm.Host);

    internal static KeeperStatus PrimaryOf(VmDocument vm) => PrimaryIn(vm) ?? throw new PolluxException($"the keeper of {vm.Name} on {vm.Host} does not answer");
}
