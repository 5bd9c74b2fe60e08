using Pollux.Core;
using Pollux.Migration.Policies;
using static Pollux.Unit.Tests.Migration.SampleSeries;

namespace Pollux.Unit.Tests.Migration;

public sealed class OtherPoliciesTests
{
    public static TheoryData<string> EveryName => new(MigrationPolicies.Names);

    private static IMigrationPolicy Named(string name) => MigrationPolicies.Named(name, relaxedLimitMs: 1200);

    [Theory]
    [MemberData(nameof(EveryName))]
    public void Policy_IsKnownByItsName(string name) => Assert.Equal(name, Named(name).Name);

    [Fact]
    public void UnknownPolicy_IsRefused_WithTheNames()
    {
        var refused = Assert.Throws<PolluxException>(() => MigrationPolicies.Named("magic"));

        Assert.All(MigrationPolicies.Names, name => Assert.Contains(name, refused.NextStep!, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(0.0)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void Relaxed_WithoutALimit_IsRefused(double? limit) => Assert.Throws<PolluxException>(() => MigrationPolicies.Named("relaxed", limit));

    [Theory]
    [InlineData("stock", 300)]
    [InlineData("relaxed", 1200)]
    [InlineData("capped", 1500)]
    [InlineData("auto-converge", 300)]
    [InlineData("doubling", 100)]
    [InlineData("ramp", 150)]
    public void Policy_Begins_WithItsLimit(string name, double limitMs)
    {
        var setup = Named(name).Begin(Terms);

        Assert.Equal(new MigrationSetup(limitMs, AutoConverge: name == "auto-converge"), setup);
    }

    [Theory]
    [InlineData("stock")]
    [InlineData("capped")]
    [InlineData("auto-converge")]
    [InlineData("doubling")]
    [InlineData("ramp")]
    public void Policy_OfAUserWithLessPatience_BeginsWithTheUsers(string name) => Assert.Equal(80, Named(name).Begin(Terms with { MaxPauseMs = 80 }).DowntimeLimitMs);

    [Theory]
    [MemberData(nameof(EveryName))]
    public void Policy_AtTheDeadline_GivesUp_AndNotBefore(string name)
    {
        var samples = new SampleSeries().Send(1000);
        var justBefore = Terms with { DeadlineMs = 1001, MaxPauseMs = 200 };

        Assert.IsNotType<MigrationOrder.GiveUp>(Named(name).Decide(justBefore, samples.All));
        var gaveUp = Assert.IsType<MigrationOrder.GiveUp>(Named(name).Decide(justBefore with { DeadlineMs = 1000 }, samples.All));
        Assert.Contains("the VM runs on at the source", gaveUp.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Doubling_DoublesAfterSixGrowths_AndStopsAtTheMost()
    {
        var samples = new SampleSeries().Send(2100);
        for (var look = 0; look < 5; look++)
        {
            samples.Look(100e6).Send(700);
        }
        Assert.IsType<MigrationOrder.GoOn>(new DoublingPolicy().Decide(Terms, samples.All));

        samples.Look(100e6).Send(700);
        Assert.Equal(new MigrationOrder.Limit(200), new DoublingPolicy().Decide(Terms, samples.All));

        for (var look = 0; look < 40; look++)
        {
            samples.Look(100e6).Send(700);
        }
        Assert.Equal(new MigrationOrder.Limit(1500), new DoublingPolicy().Decide(Terms, samples.All));
    }

    [Fact]
    public void Ramp_ClimbsInSevenSteps_TenSecondsApart_FromTheThirdIterationOn()
    {
        var policy = new RampPolicy();
        var terms = Terms with { MaxPauseMs = 1200, DeadlineMs = 1e6 };
        var samples = new SampleSeries().Send(20_000, 1000).Look(150e6).Send(1000).Look(150e6);
        Assert.IsType<MigrationOrder.GoOn>(policy.Decide(terms, samples.All));

        samples.Send(10_000, 1000);
        Assert.Equal(new MigrationOrder.Limit(300), policy.Decide(terms, samples.All));

        samples.Send(200_000, 1000);
        Assert.Equal(new MigrationOrder.Limit(1200), policy.Decide(terms, samples.All));
    }

    [Theory]
    [InlineData(WhenLonger.GiveUp, typeof(MigrationOrder.GiveUp))]
    [InlineData(WhenLonger.Throttle, typeof(MigrationOrder.Throttle))]
    [InlineData(WhenLonger.Wait, typeof(MigrationOrder.GoOn))]
    public void Capped_WhenEveryLookFindsTooMuch_DoesAsTheUserChose(WhenLonger chosen, Type order)
    {
        var samples = new SampleSeries().Send(2100);
        for (var look = 0; look < 8; look++)
        {
            samples.Look(230e6).Send(1700);
        }

        Assert.IsType(order, FixedLimitPolicy.Capped().Decide(Terms with { WhenLonger = chosen }, samples.All));
    }

    [Fact]
    public void Capped_WhileTheRestFalls_GoesOn()
    {
        var samples = new SampleSeries().Send(2100);
        for (var rest = 500e6; rest > 200e6; rest *= 0.85)
        {
            samples.Look(rest).Send(1700);
        }

        Assert.IsType<MigrationOrder.GoOn>(FixedLimitPolicy.Capped().Decide(Terms with { WhenLonger = WhenLonger.GiveUp }, samples.All));
    }

    [Fact]
    public void Looks_AreFound_WithWhatTheyAdded()
    {
        var samples = new SampleSeries().Send(1000).Look(200e6).Send(500).Look(180e6);

        var looks = DirtyLooks.In(samples.All);

        Assert.Equal([2L, 3L], looks.Select(l => l.Iteration));
        Assert.Equal(180e6 - samples.All[^2].RemainingBytes, looks[1].FreshBytes);
        Assert.Equal(550, looks[1].WindowMs, 3);
    }
}
