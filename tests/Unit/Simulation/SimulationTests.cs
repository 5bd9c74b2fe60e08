using Pollux.Simulation;
using Pollux.Simulation.Judgement;
using Pollux.Simulation.Shipping;

namespace Pollux.Unit.Tests.Simulation;

/// <summary>The promises of the pair, kept in thousands of simulated lives. A failure shows the last steps, and how to live that life again.</summary>
public sealed class SimulationTests
{
    private const int Lines = 60;
    private const int Failures = 3;

    [Fact]
    public void Lives_WithFaultsAtEveryStep_KeepEveryPromiseAndSeeEverything()
    {
        var result = Run(0, 4_000);

        // A run in which nothing happens proves nothing. What is rare is asked of the million.
        Seen[] rare = [Seen.TakerOverruled, Seen.CommittedFrameOfAReplacedPrimary];
        Assert.All(Enum.GetValues<Seen>().Except(rare), seen => Assert.True(result.Coverage[seen] > 0, $"no life has seen: {seen}"));
        Assert.True(result.FramesOutside > 100 * result.Lives, $"only {result.FramesOutside} frames left in {result.Lives} lives");
    }

    /// <summary>Other seeds than those of the short suite, a million; about half an hour on two cores.</summary>
    [Fact]
    [Trait("Suite", "long")]
    public void Lives_AMillion_KeepEveryPromiseAndSeeEverything()
    {
        var result = Run(1_000_000, 2_000_000);

        Assert.All(Enum.GetValues<Seen>(), seen => Assert.True(result.Coverage[seen] > 0, $"no life has seen: {seen}"));
    }

    public static TheoryData<string> Kept => new(KeptLives.All.Select(k => k.What));

    [Theory]
    [MemberData(nameof(Kept))]
    public void Lives_ThatOnceFailed_KeepEveryPromise(string what)
    {
        var plan = KeptLives.All.Single(k => k.What == what).Plan;
        for (var seed = 0; seed < 50; seed++)
        {
            var outcome = Life.Live(seed, plan);
            Assert.True(outcome.Broken is null, $"seed {seed}: {outcome.What}");
        }
    }

    [Fact]
    public void Shipments_OverALinkThatBreaks_LeaveTheLastCommit() => Ship(0, 100);

    [Fact]
    [Trait("Suite", "long")]
    public void Shipments_Many_LeaveTheLastCommit() => Ship(10_000, 15_000);

    [Fact]
    public void Life_OfOneSeed_IsTheSameEachTime()
    {
        var first = Life.Live(7);
        var again = Life.Live(7);

        Assert.Equal((first.Steps, first.FramesOutside, first.VirtualMs), (again.Steps, again.FramesOutside, again.VirtualMs));
    }

    private static void Ship(int from, int to)
    {
        var arrived = 0L;
        for (var seed = from; seed < to; seed++)
        {
            arrived += Shipment.Run(seed).Value + 1;
        }
        Assert.True(arrived > to - from, $"only {arrived} epochs arrived in {to - from} shipments");
    }

    private static BatchResult Run(int from, int to)
    {
        var result = Batch.Run(from, to, Environment.ProcessorCount, Failures);
        if (result.Failures.Count > 0)
        {
            Assert.Fail(string.Join('\n', result.Failures.Select(f => Report.Explain(f.Seed, Lines))));
        }
        return result;
    }
}
