using Pollux.Lab.Torture;

namespace Pollux.Unit.Tests.Lab.Torture;

public sealed class TortureScheduleTests
{
    [Fact]
    public void Schedule_OfOneSeed_IsTheSameEachTime() => Assert.Equal(TortureSchedule.Of(7, 300), TortureSchedule.Of(7, 300));

    [Fact]
    public void Schedule_OfAnotherSeed_IsAnother() => Assert.NotEqual(TortureSchedule.Of(7, 300), TortureSchedule.Of(8, 300));

    /// <summary>Known to the world: a seed in a report must mean the same tomorrow.</summary>
    [Fact]
    public void Schedule_ThatIsShort_IsTheBeginOfTheLongOne() => Assert.Equal(TortureSchedule.Of(7, 300).Take(20), TortureSchedule.Of(7, 20));

    [Fact]
    public void Schedule_OfSoManyRoundsAsThereAreKinds_HasEachOnce() =>
        Assert.Equal(
            TortureSchedule.Kinds.Select(k => k with { Number = 0, After = 0, FrozenMs = 0 }).Order(ByText),
            TortureSchedule.Of(3, TortureSchedule.Kinds.Count).Select(k => k with { Number = 0, After = 0, FrozenMs = 0 }).Order(ByText));

    [Fact]
    public void Schedule_OfSomeKinds_HasNoOthers() =>
        Assert.All(TortureSchedule.Of(3, 50, "kill-keeper at the standby"), r => Assert.Equal((Strike.KillKeeper, PairSide.Standby), (r.Strike, r.Side)));

    [Fact]
    public void Schedule_OfKindsThatAreNone_IsEmpty() => Assert.Empty(TortureSchedule.Of(3, 50, "meteor"));

    private static readonly Comparer<TortureRound> ByText = Comparer<TortureRound>.Create((a, b) => string.CompareOrdinal(a.ToString(), b.ToString()));

    [Fact]
    public void Schedule_OfEachFault_HasEachSoOften() =>
        Assert.All(TortureSchedule.OfEach(3, 20).CountBy(r => r.Strike), strike => Assert.Equal(20, strike.Value));
}
