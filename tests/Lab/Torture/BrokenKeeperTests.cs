using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Torture;
using Pollux.Tests.Broken;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Torture;

/// <summary>The proof is proved: real keepers of a build that is broken on purpose, on real hosts, are caught by the judges outside.</summary>
public sealed class BrokenKeeperTests(BrokenCopy copy, ITestOutputHelper output) : IClassFixture<BrokenCopy>, IDisposable
{
    private const int Rounds = 8;

    /// <summary>How a judge's complaint begins. A pair that is only slow, or does not come together again, is no proof.</summary>
    private static readonly string[] Judges = ["the client:", "a client of the registers:", "the registers:", "the switch:", "the beacon:", "the Redis server at"];
    private readonly string _spec = Path.Combine(BrokenCopy.Root, "examples", $"broken-{Environment.ProcessId}.yaml");

    public void Dispose() => File.Delete(_spec);

    /// <summary>
    /// Epochs are long here: what one mistake lets out too early is a frame of the first milliseconds of an epoch, and only a power-off before that epoch's commit
    /// shows it.
    /// </summary>
    [Theory]
    [Trait("Suite", "long")]
    [InlineData("release-early")]
    public async Task KeepersBrokenOnPurpose_AreCaughtByTheJudges(string broken)
    {
        var example = await File.ReadAllTextAsync(Path.Combine(BrokenCopy.Root, "examples", "redis.yaml"));
        await File.WriteAllTextAsync(_spec, example.Replace("trigger: adaptive", "trigger: periodic", StringComparison.Ordinal));
        var program = copy.Copy("Keeper");
        using var mistake = copy.Break(Path.Combine(BrokenCopy.Root, "tests", "Broken", $"{broken}.patch"), program);
        var keeper = Path.Combine(program, "keeper");
        await File.WriteAllTextAsync(keeper, $$"""
            #!/bin/sh
            export DOTNET_ROOT="${DOTNET_ROOT:-/usr/share/dotnet}" DOTNET_EnableDiagnostics=0
            exec {{program}}/pollux-keeper "$@"

            """);
        File.SetUnixFileMode(keeper, UnixFileMode.UserRead | UnixFileMode.UserExecute);

        await using var run = new TortureRun(TestLabs.Tortured, seed: 1, _spec, new Progress<string>(), new LabOptions(Keeper: keeper));
        string[] complaints = [];
        for (var number = 1; number <= Rounds && complaints.Length == 0; number++)
        {
            var round = new TortureRound(number, TorturePath.Steady, PairSide.Primary, Strike.PowerOff, null, After: 500 + (37 * number), 0);
            var all = (await run.PlayAsync([round], _ => { }, default)).Results.SelectMany(r => r.Complaints).ToList();
            output.WriteLine($"{round}: {string.Join("; ", all)}");
            complaints = [.. all.Where(c => Judges.Any(j => c.StartsWith(j, StringComparison.Ordinal)))];
        }
        Assert.NotEmpty(complaints);
    }
}
