using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Migration;
using Pollux.Migration.Policies;
using Pollux.Migration.Replay;

namespace Pollux.Lab.Bench.Migration;

/// <summary>
/// The recorded memory of the benchmark's guests, kept in the checkout: MP was tuned on those named <c>tuning-…</c>; the others, <c>held-back-…</c>, were never
/// looked at for that.
/// </summary>
public static class MigrationTraces
{
    private const double LinkMBps = 128;
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(20);

    /// <summary>File names without their ending, and what is recorded in them.</summary>
    private static readonly (string File, BenchGuest Guest)[] Recorded =
    [
        ("tuning-idle", BenchGuest.Idle(LinkMBps)),
        ("tuning-redis", BenchGuest.Redis(LinkMBps)),
        ("tuning-rewrite-0.8x", BenchGuest.Rewriting(0.8, LinkMBps)),
        ("tuning-rewrite-2x", BenchGuest.Rewriting(2, LinkMBps)),
        ("held-back-redis-hot", BenchGuest.Redis(LinkMBps, "2000:4000") with { Name = "redis-hot" }),
        ("held-back-rewrite-0.5x", BenchGuest.Rewriting(0.5, LinkMBps)),
        ("held-back-rewrite-1.2x", BenchGuest.Rewriting(1.2, LinkMBps)),
        ("held-back-rewrite-4x", BenchGuest.Rewriting(4, LinkMBps)),
        ("held-back-phases", BenchGuest.Phases(LinkMBps)),
    ];

    public static string Directory => Path.Combine(LabPrograms.Find().Root, "tests/Traces");

    /// <summary>Records all of them anew; takes some five minutes.</summary>
    /// <param name="only">Part of the file's name, or null.</param>
    public static async Task RecordAsync(string directory, string? only, string qemu, IProgress<string> progress, CancellationToken cancellation)
    {
        foreach (var (file, guest) in Recorded.Where(r => only is null || r.File.Contains(only, StringComparison.Ordinal)))
        {
            progress.Report($"{file}: recording {Length.TotalSeconds:0} s");
            var trace = await TraceRecorder.RecordAsync(guest, guest.Name, Length, qemu, cancellation).ConfigureAwait(false);
            var path = Path.Combine(directory, $"{file}.json.gz");
            MemoryTraceFile.Write(path, trace);
            var pages = trace.Steps.Average(s => s.Written.Sum(w => w.Pages));
            progress.Report(FormattableString.Invariant(
                $"{file}: {trace.Steps.Count} steps of {trace.StepMs} ms, {pages * DirtyLooks.PageBytes / 1000 / trace.StepMs:0} MB/s written, {new FileInfo(path).Length >> 10} KiB"));
        }
    }

    /// <summary>Runs what was not measured in replays: each of the policies on each trace of a guest on which it did not run.</summary>
    /// <param name="measured">Runs so far.</param>
    public static IEnumerable<MigrationRun> Replay(IReadOnlyList<string> policies, IReadOnlyList<MigrationRun> measured, int runs, double maxPauseMs, double deadlineSeconds)
    {
        foreach (var trace in System.IO.Directory.EnumerateFiles(Directory, "*.json.gz").Order(StringComparer.Ordinal).Select(MemoryTraceFile.Read))
        {
            foreach (var policy in policies.Where(p => p != "relaxed" && !measured.Any(r => r.Policy == p && r.Guest == trace.Guest)))
            {
                for (var run = 1; run <= runs; run++)
                {
                    var terms = new MigrationTerms(trace.RamBytes, maxPauseMs, deadlineSeconds * 1000, LinkMBps * 1e6, MigrationBench.OverheadMs, WhenLonger.Wait);
                    yield return MigrationReplay.Run(MigrationPolicies.Named(policy), terms, trace, LinkMBps * 1e6, run, run);
                }
            }
        }
    }
}
