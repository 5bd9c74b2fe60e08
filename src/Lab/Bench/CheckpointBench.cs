using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Lab.Bench.Modes;
using Pollux.Lab.Layout;
using Pollux.Lab.Load;
using Pollux.Linux.Memory;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Outgoing;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Qemu.Spec;
using Pollux.Replication.Checkpointing;

namespace Pollux.Lab.Bench;

/// <param name="Pages">The numbers of dirty pages.</param>
/// <param name="Turn">How long each side checkpoints in one of its turns.</param>
public sealed record CheckpointBenchSettings(IReadOnlyList<int> Pages, TimeSpan Turn, int Turns, int IntervalMs, Accelerator Accelerator, string Qemu);

/// <summary>
/// A guest's pause against the floor: a C program that answers QEMU at once and throws the pages away (native/checkpoint-floor.c). Both
/// take turns on one running guest. Pollux captures into its buffers as the keeper does; what is captured is given back by another
/// thread and not sent, so that the two compare.
/// </summary>
public sealed class CheckpointBench : IAsyncDisposable
{
    private const long GuestBytes = 256L << 20;
    private const int FirstPauses = 3;
    private const int LeastPauses = 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);
    private readonly string _directory = Directory.CreateTempSubdirectory("plx-bench").FullName;
    private readonly List<double> _pauses = [];
    private readonly LabPrograms _programs;
    private readonly CheckpointBenchSettings _settings;
    private QemuVersion _version = null!;
    private long _stoppedAt;

    private CheckpointBench(LabPrograms programs, CheckpointBenchSettings settings) => (_programs, _settings) = (programs, settings);

    public static async Task<CheckpointReport> RunAsync(CheckpointBenchSettings settings, IProgress<string> progress, CancellationToken cancellation)
    {
        var bench = new CheckpointBench(LabPrograms.Find(), settings);
        await using (bench.ConfigureAwait(false))
        {
            bench._version = await QemuVersion.OfAsync(settings.Qemu, cancellation).ConfigureAwait(false);
            var host = BenchHost.Here();
            var rows = new List<CheckpointRow>();
            foreach (var pages in settings.Pages)
            {
                progress.Report($"{pages} pages");
                rows.Add(await bench.RowAsync(pages, cancellation).ConfigureAwait(false));
            }
            return new CheckpointReport(host, bench._version.ToString(), settings.Accelerator == Accelerator.Kvm ? "kvm" : "tcg", rows);
        }
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_directory, recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task<CheckpointRow> RowAsync(int pages, CancellationToken cancellation)
    {
        var paths = new QemuPaths(_directory, $"/dev/shm/{Path.GetFileName(_directory)}.ram");
        var spec = new VmSpec(
            VmName.Create("bench"), 1, GuestBytes, "q35", "qemu64", _settings.Accelerator, Path.Combine(_programs.Root, ".cache/guests/boot32/boot32.elf"),
            null, $"pages={pages} mib={Math.Max(4, (pages + 255) / 256)}", [], Availability.FaultTolerant, new FaultToleranceSpec());
        MemoryMap.CreateFile(paths.RamFile, QemuCommandLine.RamBytes(spec, _version, _settings.Accelerator)).Dispose();
        try
        {
            using var process = QemuProcess.Start(new QemuLaunch(
                _settings.Qemu, QemuCommandLine.Build(spec, QemuSide.Primary, paths, _version, _settings.Accelerator), null,
                _settings.Accelerator == Accelerator.Tcg && _version.NeedsTcgShim ? _programs.TcgShim : null, paths.Log));
            try
            {
                var qmp = await QmpSession.ConnectAsync(paths.Qmp, TimeSpan.FromSeconds(10), cancellation).ConfigureAwait(false);
                await using (qmp.ConfigureAwait(false))
                {
                    qmp.EventReceived += Hear;
                    await new GuestWork.InRam(paths.RamFile, pages).BegunAsync(Patience, cancellation).ConfigureAwait(false);
                    return await TurnsAsync(pages, qmp, paths, cancellation).ConfigureAwait(false);
                }
            }
            finally
            {
                await process.KillAsync(TimeSpan.FromSeconds(10)).ConfigureAwait(false);
            }
        }
        finally
        {
            File.Delete(paths.RamFile);
        }
    }

    private async Task<CheckpointRow> TurnsAsync(int pages, QmpSession qmp, QemuPaths paths, CancellationToken cancellation)
    {
        var (floor, pollux) = (new List<double>(), new List<double>());
        var floorPages = new List<long>();
        // A keeper's code is cold once in its life, in the first seconds of a protection; what is compared is every later one.
        await PolluxTurnAsync(qmp, paths, new Captured(), cancellation).ConfigureAwait(false);
        TakePauses();
        var captured = new Captured();
        for (var turn = 0; turn < _settings.Turns; turn++)
        {
            floorPages.Add(await FloorTurnAsync(qmp, paths, cancellation).ConfigureAwait(false));
            floor.AddRange(TakePauses());
            await PolluxTurnAsync(qmp, paths, captured, cancellation).ConfigureAwait(false);
            pollux.AddRange(TakePauses());
        }
        var (f, p) = (LatencySummary.Of(floor), LatencySummary.Of(pollux));
        return new CheckpointRow(
            pages, floorPages.Order().ElementAt(floorPages.Count / 2), f, captured.MedianPages, p, f.P50 > 0 ? p.P50 / f.P50 : 0,
            captured.AllocatedBytes / (double)Math.Max(1, captured.Pages), captured.MBPerSecond);
    }

    private async Task<long> FloorTurnAsync(QmpSession qmp, QemuPaths paths, CancellationToken cancellation)
    {
        File.Delete(paths.Channel);
        using var floor = System.Diagnostics.Process.Start(new ProcessStartInfo(Path.Combine(_programs.Root, "out/native/checkpoint-floor"), [paths.Channel])
        {
            RedirectStandardOutput = true,
        })!;
        try
        {
            await floor.StandardOutput.ReadLineAsync(cancellation).ConfigureAwait(false); // it listens
            var capabilities = new JsonArray { Capability("x-ignore-shared", false), Capability("x-colo", true) };
            await qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, cancellation).ConfigureAwait(false);
            await qmp.ExecuteAsync(
                "migrate-set-parameters", new JsonObject { ["x-checkpoint-delay"] = _settings.IntervalMs, ["max-bandwidth"] = 100_000_000_000 }, cancellation).ConfigureAwait(false);
            await OutgoingStream.OrderAsync(qmp, paths.Channel, cancellation).ConfigureAwait(false);
            await TurnAsync(cancellation).ConfigureAwait(false);
            await CheckpointChannel.EndColoAsync(qmp, cancellation).ConfigureAwait(false);
            var said = await floor.StandardOutput.ReadLineAsync(cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(5), cancellation).ConfigureAwait(false);
            return said?.Split(' ') is [_, var pages] ? long.Parse(pages, System.Globalization.CultureInfo.InvariantCulture) : 0;
        }
        finally
        {
            floor.Kill();
        }
    }

    private async Task PolluxTurnAsync(QmpSession qmp, QemuPaths paths, Captured captured, CancellationToken cancellation)
    {
        using var pool = new ChunkPool(GuestBytes + (64 << 20));
        using var channel = await CheckpointChannel.OpenAsync(qmp, _version, paths.Channel, _settings.IntervalMs, cancellation).ConfigureAwait(false);
        var thread = new Thread(() => Checkpoint(channel, pool, captured)) { IsBackground = true, Name = "checkpoint" };
        thread.Start();
        await TurnAsync(cancellation).ConfigureAwait(false);
        await channel.EndAsync(cancellation).ConfigureAwait(false);
        thread.Join(TimeSpan.FromSeconds(5));
    }

    /// <summary>A turn's time, and longer if the first copy took most of it.</summary>
    private async Task TurnAsync(CancellationToken cancellation)
    {
        var begin = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(begin) < _settings.Turn || Pauses() < LeastPauses)
        {
            if (Stopwatch.GetElapsedTime(begin) > _settings.Turn + Patience)
            {
                throw new PolluxException($"QEMU made {Pauses()} checkpoints in {(_settings.Turn + Patience).TotalSeconds:0} s", $"see {_directory}/qemu.log; is the machine busy?");
            }
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
        }
    }

    private int Pauses()
    {
        lock (_pauses)
        {
            return _pauses.Count;
        }
    }

    private static void Checkpoint(CheckpointChannel channel, ChunkPool pool, Captured captured)
    {
        try
        {
            for (var epoch = new Epoch(0); epoch == new Epoch(0) || channel.WaitForRequest(); epoch = epoch.Next)
            {
                var buffer = new EpochBuffer(pool, epoch);
                if (epoch == new Epoch(0))
                {
                    channel.CaptureFirst(buffer);
                }
                else
                {
                    var before = GC.GetAllocatedBytesForCurrentThread();
                    var result = channel.Capture(buffer);
                    captured.Add(result, GC.GetAllocatedBytesForCurrentThread() - before, buffer.RamBytes);
                }
                buffer.Complete();
                channel.Resume();
                buffer.Return();
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or SocketException or PolluxException)
        {
            // The turn is over.
        }
    }

    private IReadOnlyList<double> TakePauses()
    {
        lock (_pauses)
        {
            // The first ones belong to the full copy and to cold code.
            double[] taken = [.. _pauses.Skip(FirstPauses)];
            _pauses.Clear();
            return taken;
        }
    }

    private void Hear(QmpEvent e)
    {
        lock (_pauses)
        {
            if (e.Name == "STOP")
            {
                _stoppedAt = e.TimestampMicros;
            }
            else if (e.Name == "RESUME" && _stoppedAt > 0)
            {
                _pauses.Add((e.TimestampMicros - _stoppedAt) / 1000.0);
                _stoppedAt = 0;
            }
        }
    }

    private static JsonObject Capability(string name, bool state) => new() { ["capability"] = name, ["state"] = state };

    /// <summary>What Pollux's turns captured.</summary>
    private sealed class Captured
    {
        private readonly List<long> _pages = [];
        private TimeSpan _transfer;
        private long _bytes;

        public long Pages { get; private set; }
        public long AllocatedBytes { get; private set; }
        public long MedianPages => _pages.Count == 0 ? 0 : _pages.Order().ElementAt(_pages.Count / 2);
        public double MBPerSecond => _transfer == TimeSpan.Zero ? 0 : _bytes / 1e6 / _transfer.TotalSeconds;

        public void Add(CaptureResult result, long allocated, long ramBytes)
        {
            Pages += result.Pages;
            AllocatedBytes += allocated;
            _pages.Add(result.Pages);
            _transfer += result.Transfer;
            _bytes += ramBytes;
        }
    }
}
