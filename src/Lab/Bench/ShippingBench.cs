using System.Diagnostics;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench;

/// <summary>
/// What is on the link between the two keepers: by what the guest writes, with and without what the standby has, and compressed or not over
/// links of several rates. Redis guest of 256 MiB, one client in a closed loop.
/// </summary>
public static class ShippingBench
{
    private const int MemoryMiB = 256;

    /// <summary>Until most pages that will be written have been sent once.</summary>
    private static readonly TimeSpan Warming = TimeSpan.FromSeconds(4);

    /// <summary>What the guest does beside serving Redis: 4,000 pages a second within 32 MiB (guest/redis/dirty.c).</summary>
    private static readonly (string Name, string Argument, string[] Shipping)[] Workloads =
    [
        ("redis", "", ["pages", "changes"]),
        ("redis, and a word of each page", "pollux.dirty=32:4000:word", ["changes"]),
        ("redis, and pages rewritten with what they held", "pollux.dirty=32:4000:same", ["changes"]),
        ("redis, and pages of random bytes", "pollux.dirty=32:4000:random", ["changes"]),
    ];

    /// <param name="mbits">Rates of the link on which compression is compared, beside the unlimited one.</param>
    public static async Task<ShippingReport> RunAsync(LabCluster lab, TimeSpan each, IReadOnlyList<int> mbits, IProgress<string> progress, CancellationToken cancellation)
    {
        var host = BenchHost.Here();
        var (compression, keeper) = await CompareCompressionAsync(lab, each, mbits, progress, cancellation).ConfigureAwait(false);
        var rows = new List<ShippingRow>();
        foreach (var (workload, argument, ways) in Workloads)
        {
            foreach (var shipping in ways)
            {
                progress.Report($"{workload}, {shipping}");
                rows.Add(await ShipAsync(lab, workload, argument, shipping, each, cancellation).ConfigureAwait(false));
            }
        }
        return new ShippingReport(host, keeper.QemuVersion, keeper.Accelerator, rows, compression, BenchHost.LoadNow());
    }

    /// <summary>One life of one guest goes through all links and modes; each begins with a first copy.</summary>
    private static async Task<(IReadOnlyList<CompressionRow> Rows, KeeperStatus Keeper)> CompareCompressionAsync(
        LabCluster lab, TimeSpan each, IReadOnlyList<int> mbits, IProgress<string> progress, CancellationToken cancellation)
    {
        var workload = Workloads[0].Name;
        var vm = await LabBench.StartAsync(lab, "redis", MemoryMiB, cancellation).ConfigureAwait(false);
        var rows = new List<CompressionRow>();
        KeeperStatus? keeper = null;
        var load = await RedisGuest.LoadAsync(lab, 1, LabBench.Patience, cancellation).ConfigureAwait(false);
        await using (load.ConfigureAwait(false))
        {
            foreach (var mbit in (int?[])[null, .. mbits])
            {
                if (mbit is { } rate)
                {
                    await lab.Wires.SlowAsync("h1", "h2", rate, cancellation: cancellation).ConfigureAwait(false);
                }
                foreach (var compression in (string[])["never", "always", "auto"])
                {
                    progress.Report($"{workload}, {(mbit is null ? "unlimited link" : $"{mbit} Mbit/s")}, compression {compression}");
                    var (seconds, window) = await ProtectAndLookAsync(lab, vm, load, compression, each, cancellation).ConfigureAwait(false);
                    rows.Add(window.ToCompressionRow(workload, mbit, compression, seconds));
                    keeper = window.After;
                }
                await lab.Wires.HealAsync(cancellation).ConfigureAwait(false);
            }
        }
        await vm.DeleteAsync(cancellation).ConfigureAwait(false);
        return (rows, keeper!);
    }

    /// <summary>How long it took until the VM was protected, and what then was on the link. It is not protected afterwards.</summary>
    private static async Task<(double ProtectSeconds, Window Window)> ProtectAndLookAsync(
        LabCluster lab, LabVm vm, RedisLoad load, string compression, TimeSpan each, CancellationToken cancellation)
    {
        await vm.SetAsync(new ProtectionSettings(Compression: compression), cancellation).ConfigureAwait(false);
        var begin = Stopwatch.GetTimestamp();
        await vm.ProtectAsync(cancellation).ConfigureAwait(false);
        await vm.UntilAsync(v => v.State == "protected", "protected", LabBench.Patience, cancellation).ConfigureAwait(false);
        var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        await Task.Delay(Warming, cancellation).ConfigureAwait(false);
        var window = await Window.OfAsync(lab, vm, load, each, cancellation).ConfigureAwait(false);
        await vm.UnprotectAsync(cancellation).ConfigureAwait(false);
        await vm.UntilAsync(v => v.State == "running" && v.Keepers.Count == 1, "unprotected", LabBench.Patience, cancellation).ConfigureAwait(false);
        return (seconds, window);
    }

    private static async Task<ShippingRow> ShipAsync(LabCluster lab, string workload, string argument, string shipping, TimeSpan each, CancellationToken cancellation)
    {
        var vm = await LabBench.StartAsync(lab, "redis", MemoryMiB, cancellation, s => s with
        {
            CommandLine = $"{s.CommandLine} {argument}",
            FaultTolerance = s.FaultTolerance with { Shipping = shipping, Compression = "never" },
        }).ConfigureAwait(false);
        var load = await RedisGuest.LoadAsync(lab, 1, LabBench.Patience, cancellation).ConfigureAwait(false);
        ShippingRow row;
        await using (load.ConfigureAwait(false))
        {
            await vm.ProtectAsync(cancellation).ConfigureAwait(false);
            await vm.UntilAsync(v => v.State == "protected", "protected", LabBench.Patience, cancellation).ConfigureAwait(false);
            await Task.Delay(Warming, cancellation).ConfigureAwait(false);
            row = (await Window.OfAsync(lab, vm, load, each, cancellation).ConfigureAwait(false)).ToShippingRow(workload, shipping);
        }
        await vm.DeleteAsync(cancellation).ConfigureAwait(false);
        return row;
    }

    /// <summary>What was between two looks at a protected VM.</summary>
    private sealed record Window(KeeperStatus Before, KeeperStatus After, double Seconds, LatencySummary Trips, double KeeperCpus, double StandbyCpus)
    {
        private ShippingStatus Was => Before.Shipping!;
        private ShippingStatus Is => After.Shipping!;
        private double RequestsPerSecond => Trips.Count / Seconds;
        private double CheckpointsPerSecond => (After.Checkpoints.Count - Before.Checkpoints.Count) / Seconds;

        public static async Task<Window> OfAsync(LabCluster lab, LabVm vm, RedisLoad load, TimeSpan each, CancellationToken cancellation)
        {
            var before = await vm.ShowAsync(cancellation).ConfigureAwait(false);
            var (primary, standby) = (before.Host, before.Role!.Standby!.Host);
            var (cpu, other) = (CpuOf(lab, vm, primary), CpuOf(lab, vm, standby));
            var begin = Stopwatch.GetTimestamp();
            await Task.Delay(each, cancellation).ConfigureAwait(false);
            var end = Stopwatch.GetTimestamp();
            var after = await vm.ShowAsync(cancellation).ConfigureAwait(false);
            var seconds = Stopwatch.GetElapsedTime(begin, end).TotalSeconds;
            return new Window(
                LabBench.PrimaryOf(before), LabBench.PrimaryOf(after), seconds, load.Log.RoundTripsBetween(begin, end),
                (CpuOf(lab, vm, primary) - cpu).TotalSeconds / seconds, (CpuOf(lab, vm, standby) - other).TotalSeconds / seconds);
        }

        public ShippingRow ToShippingRow(string workload, string shipping) => new(
            workload, shipping, Is.CapturedBytes - Was.CapturedBytes, Is.ShippedBytes - Was.ShippedBytes, Is.Link!.SentBytes - Was.Link!.SentBytes,
            Is.UnchangedPages - Was.UnchangedPages, Is.ZeroPages - Was.ZeroPages, Is.PartPages - Was.PartPages, Is.WholePages - Was.WholePages, Is.TableBytes,
            RequestsPerSecond, CheckpointsPerSecond, After.Checkpoints.PauseMs.P50, KeeperCpus, MsPerMiB(KeeperCpus));

        public CompressionRow ToCompressionRow(string workload, int? mbit, string compression, double protecting)
        {
            var (was, now) = (Was.Link!, Is.Link!);
            return new CompressionRow(
                workload, mbit, compression, protecting, now.FirstBytes, now.FirstSentBytes, Is.CapturedBytes - Was.CapturedBytes, now.Bytes - was.Bytes, now.SentBytes - was.SentBytes,
                Share(now.CompressedMemoryFrames - was.CompressedMemoryFrames, now.MemoryFrames - was.MemoryFrames),
                Share(now.CompressedDeviceFrames - was.CompressedDeviceFrames, now.DeviceFrames - was.DeviceFrames),
                RequestsPerSecond, Trips, CheckpointsPerSecond, After.Checkpoints.PauseMs.P50, MsPerMiB(KeeperCpus), MsPerMiB(StandbyCpus));
        }

        private static double Share(long part, long whole) => part / (double)Math.Max(1, whole);

        private double MsPerMiB(double cpus) => cpus * Seconds * 1000 / Math.Max(1, (Is.CapturedBytes - Was.CapturedBytes) / (double)(1 << 20));

        private static TimeSpan CpuOf(LabCluster lab, LabVm vm, HostId host)
        {
            using var process = Process.GetProcessById(lab[host.Value].FindKeepers(vm.Name).Single());
            return process.TotalProcessorTime;
        }
    }
}
