using System.Text.Json;
using Pollux.Lab.Bench.Migration;
using Pollux.Lab.Migration;
using Pollux.Lab.Tests.Checkpointing;
using Pollux.Migration;
using Pollux.Migration.Replay;

namespace Pollux.Lab.Tests.Migration;

/// <summary>The benchmark of the migration policies, made small, and its recorder.</summary>
public sealed class BenchTests
{
    private const double LinkMBps = 128;

    [KvmFact]
    public async Task Bench_OfAGuestThatStockNeverMoves_SaysSoAndGoesOn()
    {
        var settings = new MigrationBenchSettings(
            [BenchGuest.Rewriting(4, LinkMBps)], ["stock", "capped"], ["ramp"], [], LinkMBps, Runs: 1, TimeSpan.FromSeconds(30), (TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(4)),
            TimeSpan.FromSeconds(3), MaxPauseMs: 4000, MovableSpec.Stock);
        var runs = new List<MigrationRun>();
        await MigrationBench.RunAsync(settings, new Progress<string>(), runs.Add, failure => Assert.Fail(failure), CancellationToken.None);

        Assert.Equal(["stock", "capped"], runs.Select(r => r.Policy));
        Assert.False(runs[0].Succeeded);
        Assert.Null(runs[0].PauseMs);
        Assert.True(runs[1].Succeeded, runs[1].Why);
        Assert.True(runs[1].PauseMs > 0 && runs[1].SentBytes > 100e6, $"{runs[1]}");

        // The names that readers of --json know.
        var written = JsonSerializer.SerializeToElement(runs, MigrationJson.Default.IReadOnlyListMigrationRun);
        foreach (var name in (string[])["policy", "guest", "linkMBps", "succeeded", "totalSeconds", "sentBytes", "pauseMs"])
        {
            Assert.All(written.EnumerateArray(), run => Assert.True(run.TryGetProperty(name, out _), name));
        }
    }

    [KvmFact]
    public async Task Recorder_GuestThatRewritesNeighbours_TellsWhichAndHowMany()
    {
        var guest = BenchGuest.Rewriting(0.5, LinkMBps);
        var trace = await TraceRecorder.RecordAsync(guest, "test", TimeSpan.FromSeconds(1), MovableSpec.Stock, CancellationToken.None);

        Assert.Equal(guest.MemoryMiB, trace.Groups);
        // A step's length is rounded to a tenth of a millisecond.
        Assert.True(trace.LengthMs >= 1000 - (0.05 * trace.Steps.Count), $"{trace.LengthMs} ms");
        var written = trace.Steps.SelectMany(s => s.Written).ToList();
        // From 4 MiB on, 150 of them; the guest itself is at 1 and 2.
        Assert.All(written, w => Assert.True(w.Group is 1 or 2 or (>= 4 and < 154), $"group {w.Group}"));
        Assert.Contains(written, w => w.Pages > 1 && w.FirstPage is not null);
        Assert.Equal(MemoryTrace.PagesPerGroup, trace.UsedPages[200]);
        Assert.Equal(0, trace.UsedPages[250]);
    }
}
