using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Torture;
using Pollux.Tests.Broken;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Torture;

/// <summary>The proof is proved: real keepers of a build that is broken on purpose, on real hosts, are caught by the judges outside.</summary>
public sealed class BrokenKeeperTests(BrokenCopy copy, ITestOutputHelper output) : IClassFixture<BrokenCopy>
{
    private const int Rounds = 8;

    /// <summary>How a judge's complaint begins. A pair that is only slow, or does not come together again, is no proof.</summary>
    private static readonly string[] Judges = ["the client:", "a client of the registers:", "the registers:", "the switch:", "the beacon:"];

    [Theory]
    [Trait("Suite", "long")]
    [InlineData("release-early", "power-off of the primary")]
    [InlineData("drop-a-page", "power-off of the primary")]
    public async Task KeepersBrokenOnPurpose_AreCaughtByTheJudges(string broken, string struckBy)
    {
        var program = Path.Combine(copy.Copy("Keeper"), "pollux-keeper");
        using var mistake = copy.Break(Path.Combine(BrokenCopy.Root, "tests", "Broken", $"{broken}.patch"), Path.GetDirectoryName(program)!);
        var keeper = Path.Combine(Path.GetDirectoryName(program)!, "keeper");
        await File.WriteAllTextAsync(keeper, $$"""
            #!/bin/sh
            export DOTNET_ROOT="${DOTNET_ROOT:-/usr/share/dotnet}" DOTNET_EnableDiagnostics=0
            exec {{program}} "$@"

            """);
        File.SetUnixFileMode(keeper, UnixFileMode.UserRead | UnixFileMode.UserExecute);

        await using var run = new TortureRun(TestLabs.Tortured, seed: 1, null, new Progress<string>(), new LabOptions(Keeper: keeper));
        string[] complaints = [];
        foreach (var round in TortureSchedule.Of(1, Rounds, struckBy))
        {
            var report = await run.PlayAsync([round], _ => { }, default);
            output.WriteLine($"{round}: {string.Join("; ", report.Results.SelectMany(r => r.Complaints))}");
            complaints = [.. report.Results.SelectMany(r => r.Complaints).Where(c => Judges.Any(j => c.StartsWith(j, StringComparison.Ordinal)))];
            if (complaints.Length > 0)
            {
                break;
            }
        }
        Assert.NotEmpty(complaints);
    }
}
