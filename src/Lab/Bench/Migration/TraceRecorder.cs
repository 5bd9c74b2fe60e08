using System.Diagnostics;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Lab.Migration;
using Pollux.Migration.Policies;
using Pollux.Migration.Replay;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Process;
using Pollux.Wire.Migration;

namespace Pollux.Lab.Bench.Migration;

/// <summary>
/// Records which memory a real guest writes: checkpoints in quick succession, of which each holds exactly the pages that were written since the one before (QEMU's
/// dirty log). What is captured is looked at and thrown away.
/// </summary>
public static class TraceRecorder
{
    private const int EpochMs = 50;

    // The first ones follow the full copy, during which the guest ran long.
    private const int SkippedEpochs = 3;

    /// <summary>Boots the guest and records it.</summary>
    public static async Task<MemoryTrace> RecordAsync(BenchGuest guest, string name, TimeSpan length, string qemu, CancellationToken cancellation)
    {
        var booted = await MigrationBench.BootAsync(guest, qemu, cancellation).ConfigureAwait(false);
        await using (booted.ConfigureAwait(false))
        {
            using var channel = await CheckpointChannel.OpenAsync(booted.Qmp, booted.Version, booted.Paths.Channel, EpochMs, cancellation).ConfigureAwait(false);
            var recording = new Recording(channel, (int)(booted.Spec.Vm.MemoryBytes / PageGroups.Bytes));
            var recorded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var thread = new Thread(() => recording.Run(length, recorded)) { IsBackground = true, Name = "trace" };
            thread.Start();
            try
            {
                await recorded.Task.WaitAsync(cancellation).ConfigureAwait(false);
            }
            finally
            {
                await channel.EndAsync(CancellationToken.None).ConfigureAwait(false);
                thread.Join();
            }
            var source = FormattableString.Invariant(
                $"recorded {DateTime.UtcNow:yyyy-MM-dd} with QEMU {booted.Version} ({booted.Spec.Vm.Accelerator.ToString().ToLowerInvariant()}), checkpoints every {EpochMs} ms; kernel command line: {guest.CommandLine}");
            return new MemoryTrace(name, source, Math.Round(recording.StepMs, 1), recording.Groups, UsedPages(booted, recording.Groups), recording.Steps);
        }
    }

    private static int[] UsedPages(MovableGuest guest, int groups)
    {
        var used = new int[groups];
        for (var group = 0; group < groups; group++)
        {
            for (var page = 0; page < MemoryTrace.PagesPerGroup; page++)
            {
                var at = ((long)group * PageGroups.Bytes) + (page * RamStreamScanner.PageSize);
                used[group] += guest.Ram.Span(at, RamStreamScanner.PageSize).ContainsAnyExcept((byte)0) ? 1 : 0;
            }
        }
        return used;
    }

    /// <summary>Takes checkpoints and notes their pages. A buffer that keeps nothing.</summary>
    private sealed class Recording(CheckpointChannel channel, int groups) : ICheckpointBuffer
    {
        private readonly byte[] _space = new byte[1 << 20];
        private readonly RamStreamScanner _scanner = new(expectHeader: true);
        private readonly bool[] _written = new bool[groups * MemoryTrace.PagesPerGroup];
        private readonly List<TraceStep> _steps = [];
        private int _ramBlock = -1;
        private double _ranMs;

        public int Groups => groups;
        public IReadOnlyList<TraceStep> Steps => _steps;

        /// <summary>How long the guest ran in an epoch, on average.</summary>
        public double StepMs => _ranMs / _steps.Count;

        public void Run(TimeSpan length, TaskCompletionSource done)
        {
            try
            {
                channel.CaptureFirst(this);
                for (var epoch = 0; _ranMs < length.TotalMilliseconds; epoch++)
                {
                    Array.Clear(_written);
                    var resumed = Stopwatch.GetTimestamp();
                    channel.Resume();
                    if (!channel.WaitForRequest())
                    {
                        throw new PolluxException("QEMU ended the checkpoints", "see its log");
                    }
                    _scanner.BeginCheckpoint();
                    var asked = Stopwatch.GetTimestamp();
                    var captured = channel.Capture(this);
                    if (epoch >= SkippedEpochs)
                    {
                        _ranMs += (Stopwatch.GetElapsedTime(resumed, asked) + captured.StopWait).TotalMilliseconds;
                        _steps.Add(new TraceStep([.. WrittenGroups()]));
                    }
                }
                done.TrySetResult();
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or PolluxException)
            {
                done.TrySetException(e);
            }
        }

        private IEnumerable<WrittenGroup> WrittenGroups()
        {
            for (var group = 0; group < groups; group++)
            {
                var pages = _written.AsSpan(group * MemoryTrace.PagesPerGroup, MemoryTrace.PagesPerGroup);
                var count = pages.Count(true);
                if (count > 0)
                {
                    yield return new WrittenGroup(group, count, RunBegin(pages, count));
                }
            }
        }

        /// <summary>Where the run of neighbours begins that the written pages are; null: they are none.</summary>
        private static int? RunBegin(ReadOnlySpan<bool> pages, int count)
        {
            int? begin = null;
            for (var page = 0; page < pages.Length; page++)
            {
                if (pages[page] && !pages[(page + pages.Length - 1) % pages.Length])
                {
                    if (begin is not null)
                    {
                        return null;
                    }
                    begin = page;
                }
            }
            return count == pages.Length ? 0 : begin;
        }

        public Span<byte> RamSpace() => _space;

        public void RamFilled(int bytes)
        {
            var sink = new Sink(this);
            _scanner.Scan(_space.AsSpan(0, bytes), ref sink);
        }

        public void RamUnfilled(int bytes)
        {
            // The scanner here has stopped at the same byte.
        }

        public Span<byte> DeviceSpace() => _space;

        public void DeviceFilled(int bytes)
        {
        }

        public void AppendDevice(ReadOnlySpan<byte> bytes)
        {
        }

        private readonly struct Sink(Recording recording) : IRamSink
        {
            public void OnBlock(int block, string name, ulong length)
            {
                if (name == QemuCommandLine.RamBlock)
                {
                    recording._ramBlock = block;
                }
            }

            public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
            {
                if (offset == 0)
                {
                    OnZeroPage(block, address);
                }
            }

            public void OnZeroPage(int block, ulong address)
            {
                var page = (long)address / RamStreamScanner.PageSize;
                // Under emulation the block can be two pages longer than the guest's RAM.
                if (block == recording._ramBlock && page < recording._written.Length)
                {
                    recording._written[page] = true;
                }
            }

            public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
            {
            }
        }
    }
}
