using System.Diagnostics;
using System.Text.Json;
using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Labs;

namespace Pollux.Lab.Tests.Bench;

/// <summary>The comparison of modes at its smallest: one load, a second each, once.</summary>
[Trait("Suite", "long")]
public sealed class ModesTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-modes-test").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Modes_OfAnIdleGuest_MeasuresEveryMode_WritesPageAndPlots_AndLeavesNothing()
    {
        var start = new ProcessStartInfo(LabPrograms.Find().Cli, ["bench", "modes", "--only", "idle", "--seconds", "1", "--repetitions", "1", "--out", _directory])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment[LabName.Variable] = TestLabs.Demo.Value;
        using var bench = Process.Start(start)!;
        var errors = bench.StandardError.ReadToEndAsync();
        await bench.StandardOutput.ReadToEndAsync().WaitAsync(Deadline);
        await bench.WaitForExitAsync();

        Assert.True(bench.ExitCode == 0, await errors);
        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(_directory, "modes.json")));
        var runs = json.RootElement.GetProperty("runs").EnumerateArray().ToDictionary(r => r.GetProperty("mode").GetString()!);
        string[] modes =
        [
            "unprotected", "periodic", "on-output", "adaptive", "periodic, synchronous", "on-output, synchronous", "COLO", "COLO, 100 ms", "COLO, 100 ms, delayed ACKs",
        ];
        Assert.Equal(modes.Order(StringComparer.Ordinal), runs.Keys.Order(StringComparer.Ordinal));
        Assert.All(modes.Where(m => m is not ("unprotected" or "COLO")), m => Assert.True(runs[m].GetProperty("pauseMs").GetProperty("p50").GetDouble() > 0, m));
        Assert.All(modes, m => Assert.True(runs[m].GetProperty("roundTripMs").GetProperty("count").GetInt32() > 0, m));
        Assert.Contains("![", await File.ReadAllTextAsync(Path.Combine(_directory, "modes.md")), StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(_directory, "modes-pause.svg")));
        Assert.Empty(Leftovers.Find(TestLabs.Demo));
    }
}
