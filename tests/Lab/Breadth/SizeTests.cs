using Pollux.Lab.Torture;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>Guests of other sizes survive their host's loss of power as the example's does.</summary>
[Collection(BreadthTests.Name)]
public sealed class SizeTests(BreadthLab breadth, ITestOutputHelper output)
{
    private const long MiB = 1 << 20;

    [Theory]
    [Trait("Suite", "long")]
    [InlineData(2, 128)]
    [InlineData(1, 1024)]
    [InlineData(4, 256)]
    [InlineData(2, 4096)]
    public Task Guest_OfASize_SurvivesPowerOff(int cpus, int memoryMiB) => breadth.WithAsync(breadth.Redis with { Cpus = cpus, MemoryBytes = memoryMiB * MiB }, async lab =>
    {
        var round = new TortureRound(1, TorturePath.Steady, PairSide.Primary, Strike.PowerOff, null, 100, 0);
        var verdict = await new TortureRunner(lab, seed: 1).PlayAsync(round);

        output.WriteLine($"{cpus} vCPUs, {memoryMiB} MiB: silent for {verdict.OutageMs:0} ms, {verdict.Client?.Acknowledged} writes, evidence {verdict.Evidence}");
        Assert.Empty(verdict.Complaints);
        Assert.NotEqual(verdict.Before, verdict.After);
    });
}
