using Pollux.Migration.Policies;
using Pollux.Migration.Policies.Mp;
using static Pollux.Unit.Tests.Migration.SampleSeries;

namespace Pollux.Unit.Tests.Migration;

public sealed class MpPolicyTests
{
    private const double QuietMs = 30;
    private static readonly MpPolicy Mp = new();

    /// <summary>Someone reads the guest's pages: so much is written within 100 ms, within a second, and so much is in use. The link carries 128 MB in a second; 256 MiB of RAM.</summary>
    private static SampleSeries Watched(double within100Ms, double withinASecond, long usedBytes = 256L << 20) =>
        new SampleSeries().Seeing(new RamSight(usedBytes, [new(100, within100Ms), new(1000, withinASecond)]));

    [Fact]
    public void QuietGuest_IsCopiedUntilNextToNothingIsLeft() =>
        Assert.Equal(QuietMs, Assert.IsType<MigrationOrder.Limit>(Mp.Decide(Terms, Watched(1e5, 1e6).Send(1900).All)).DowntimeLimitMs);

    /// <summary>Seen over 5 MB/s: a guest that hardly writes is never copied to next to nothing, and twenty-nine passes were made of it.</summary>
    [Fact]
    public void QuietGuest_ThatIsNeverCopiedToNextToNothing_IsStoppedAfterManyPasses()
    {
        var samples = Watched(1e5, 1e6).Send(1900);
        for (var pass = 2; pass <= 11; pass++)
        {
            Assert.IsType<MigrationOrder.Limit>(Mp.Decide(Terms, samples.All));
            samples.Look(6e6).Send(45);
        }
        Assert.IsType<MigrationOrder.SwitchOver>(Mp.Decide(Terms, samples.All));
    }

    [Fact]
    public void UnwatchedGuest_IsNotJudgedInTheFirstPass() =>
        Assert.Equal(QuietMs, Assert.IsType<MigrationOrder.Limit>(Mp.Decide(Terms, new SampleSeries().Send(1900).All)).DowntimeLimitMs);

    [Fact]
    public void IntensiveGuest_ThatDoesNotFitYet_StopsAsSoonAsQemuFindsThatItDoes()
    {
        var limit = Assert.IsType<MigrationOrder.Limit>(Mp.Decide(Terms, Watched(50e6, 150e6).Send(100).All));

        Assert.InRange(limit.DowntimeLimitMs, 1300, Terms.MaxPauseMs - Terms.OverheadMs);
    }

    [Fact]
    public void IntensiveGuest_WhoseMemoryInUseFits_IsStoppedAtOnce()
    {
        var over = Assert.IsType<MigrationOrder.SwitchOver>(Mp.Decide(Terms, Watched(50e6, 150e6, usedBytes: 175_000_000).Send(200).All));

        // 175 MB: what was sent in 0.2 s may have been written again.
        Assert.InRange(over.PredictedPauseMs, 1200, 1470);
    }

    [Fact]
    public void IntensiveGuest_FoundByALook_IsStoppedWithWhatTheLookFound()
    {
        var samples = new SampleSeries().Send(2100).Look(150e6).Send(1200).Look(150e6);

        var over = Assert.IsType<MigrationOrder.SwitchOver>(Mp.Decide(Terms, samples.All));

        Assert.InRange(over.PredictedPauseMs, (150e6 / 128e3) + Terms.OverheadMs, Terms.MaxPauseMs);
    }

    [Fact]
    public void IntensiveGuest_HalfAPassAfterTheLook_IsNotTakenToHaveBecomeSmaller()
    {
        var fits = Terms with { MaxPauseMs = 1000 };
        var samples = new SampleSeries().Send(2100).Look(150e6).Send(1200).Look(150e6).Send(600);

        // 75 MB are left of the look, but what was sent since was written again.
        Assert.IsNotType<MigrationOrder.SwitchOver>(Mp.Decide(fits, samples.All));
    }

    [Fact]
    public void ShrinkingGuest_OfTheLastLook_IsNotIntensive()
    {
        var samples = new SampleSeries().Send(2100).Look(60e6).Send(500).Look(4e6);

        Assert.Equal(QuietMs, Assert.IsType<MigrationOrder.Limit>(Mp.Decide(Terms, samples.All)).DowntimeLimitMs);
    }

    [Theory]
    [InlineData(WhenLonger.GiveUp, typeof(MigrationOrder.GiveUp))]
    [InlineData(WhenLonger.Throttle, typeof(MigrationOrder.Throttle))]
    [InlineData(WhenLonger.Wait, typeof(MigrationOrder.Limit))]
    public void IntensiveGuest_ThatWillNeverFit_IsDealtWithAsTheUserChose_Beforehand(WhenLonger chosen, Type order)
    {
        var terms = Terms with { MaxPauseMs = 500, WhenLonger = chosen };

        Assert.IsType(order, Mp.Decide(terms, Watched(150e6, 150e6).Send(50).All));
    }

    [Fact]
    public void Refusal_SaysThePauseThatWouldBeNeeded()
    {
        var terms = Terms with { MaxPauseMs = 500, WhenLonger = WhenLonger.GiveUp };

        var gaveUp = Assert.IsType<MigrationOrder.GiveUp>(Mp.Decide(terms, Watched(128e6, 128e6).Send(50).All));

        // One second's 128 MB take one second.
        Assert.Contains("the shortest pause is 1050 ms", gaveUp.Why, StringComparison.Ordinal);
        Assert.Contains("500 ms are allowed", gaveUp.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Pattern_CountsGroupsThatAreSentAgain()
    {
        var samples = new SampleSeries()
            .Send(2100).With(s => s with { Groups = [new(256, 0, 1), new(256, 0, 1)] })
            .Look(2e6).With(s => s with { Groups = [new(506, 250, 2), new(266, 10, 2)] })
            .Look(2e6).With(s => s with { Groups = [new(606, 350, 3), new(266, 10, 2)] });

        var pattern = PagePattern.Of(samples.All);

        Assert.Equal(new PagePattern(1, 250 * 4096, 100 * 4096), pattern);
    }

    [Fact]
    public void Curve_ReadsBetweenItsPoints_AndNeverFalls()
    {
        var looks = DirtyLooks.In(new SampleSeries().Send(2150).Look(150e6).All);
        var curve = WriteCurve.Of(new RamSight(0, [new(100, 60e6), new(1000, 140e6)]), looks);

        Assert.Equal(30e6, curve.Within(50), 1e3);
        Assert.Equal(140e6, curve.Within(1000), 1e3);
        Assert.Equal(145e6, curve.Within(1600), 1e3);
        Assert.Equal(150e6, curve.WithinAtLeast(1e6), 1e3);
    }

    [Fact]
    public void Curve_OfAGuestThatBecameQuiet_ForgetsTheLooksOfBefore()
    {
        var looks = DirtyLooks.In(new SampleSeries().Send(2150).Look(150e6).All);

        Assert.Equal(3e6, WriteCurve.Of(new RamSight(0, [new(1000, 3e6)]), looks).WithinAtLeast(1e6), 1e3);
    }

    [Fact]
    public void Curve_OfNothing_IsUnknown() => Assert.True(WriteCurve.Of(null, []).IsUnknown);

    /// <summary>Whatever is told to it: no figure that is none, and nothing outside of what it may order.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Mp_OnAnySamples_OrdersOnlyWhatItMay(int seed)
    {
        var random = new Random(seed);
        double Odd() => random.Next(6) switch { 0 => 0, 1 => double.NaN, 2 => double.PositiveInfinity, 3 => -1, _ => random.NextDouble() * 1e9 };
        long Size() => random.Next(4) == 0 ? 0 : random.NextInt64(1L << 30);
        for (var life = 0; life < 3000; life++)
        {
            var terms = new MigrationTerms(
                random.Next(10) == 0 ? 0 : 1L << random.Next(20, 38), random.Next(5) == 0 ? 0 : random.Next(1, 5000), 60_000, random.Next(2) == 0 ? null : 1 + (random.NextDouble() * 1e9),
                random.Next(300), (WhenLonger)random.Next(3));
            var (samples, at, iteration) = (new List<MigrationSample>(), 0.0, 1L);
            for (var n = random.Next(1, 12); n > 0; n--)
            {
                at += random.Next(3) == 0 ? 0 : random.NextDouble() * 2000;
                iteration += random.Next(3);
                samples.Add(new MigrationSample(
                    at, iteration, Size(), Size(), Size() >> 12, Size() >> 14, Odd(), Odd(),
                    random.Next(2) == 0 ? null : [.. Enumerable.Range(0, random.Next(3)).Select(_ => new GroupSample(random.Next(999), random.Next(999), random.Next(9)))], random.Next(100))
                {
                    Ram = random.Next(2) == 0 ? null : new RamSight(Size(), [.. Enumerable.Range(0, random.Next(4)).Select(_ => new WrittenWithin(Odd(), Odd()))]),
                });
            }
            switch (Mp.Decide(terms, samples))
            {
                case MigrationOrder.Limit limit:
                    Assert.InRange(limit.DowntimeLimitMs, 1, Math.Max(1, terms.MaxPauseMs));
                    Assert.DoesNotContain("NaN", limit.Why, StringComparison.Ordinal);
                    break;
                case MigrationOrder.SwitchOver over:
                    Assert.InRange(over.PredictedPauseMs, 0, terms.MaxPauseMs);
                    break;
                case MigrationOrder.GiveUp gaveUp:
                    Assert.DoesNotContain("NaN", gaveUp.Why, StringComparison.Ordinal);
                    break;
                case var order:
                    Assert.IsType<MigrationOrder.Throttle>(order);
                    break;
            }
        }
    }
}
