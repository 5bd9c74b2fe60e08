using Pollux.Lab.Judgement;

namespace Pollux.Unit.Tests.Lab.Judgement;

public sealed class RegisterHistoryTests
{
    private static RegisterOperation Write(long called, long returned, long value) => new(called, returned, value, null);

    private static RegisterOperation Read(long called, long returned, long told) => new(called, returned, null, told);

    private static RegisterOperation Exchange(long called, long returned, long value, long told) => new(called, returned, value, told);

    private static RegisterOperation LostWrite(long called, long value) => new(called, long.MaxValue, value, null);

    private static bool Holds(params RegisterOperation[] operations) => RegisterHistory.IsLinearizable(operations);

    [Fact]
    public void Nothing_Holds() => Assert.True(Holds());

    [Fact]
    public void Read_OfWhatWasWritten_Holds() => Assert.True(Holds(Write(0, 1, 7), Read(2, 3, 7)));

    [Fact]
    public void Read_OfAnOlderValueAfterANewerWasAcknowledged_DoesNotHold() => Assert.False(Holds(Write(0, 1, 7), Write(2, 3, 8), Read(4, 5, 7)));

    [Fact]
    public void Read_OfAnAcknowledgedWriteThatIsGone_DoesNotHold() => Assert.False(Holds(Write(0, 1, 7), Read(2, 3, 0)));

    [Fact]
    public void Reads_AtTheSameTimeAsAWrite_MaySeeEither_ButNotBackAndForth()
    {
        Assert.True(Holds(Write(0, 10, 7), Read(1, 2, 0), Read(3, 4, 7)));
        Assert.False(Holds(Write(0, 10, 7), Read(1, 2, 7), Read(3, 4, 0)));
    }

    [Fact]
    public void Write_ThatWasNeverAnswered_MayHaveHappenedOrNot_ButNotBoth()
    {
        Assert.True(Holds(LostWrite(0, 7), Read(2, 3, 7)));
        Assert.True(Holds(LostWrite(0, 7), Read(2, 3, 0)));
        Assert.True(Holds(LostWrite(0, 7), Read(2, 3, 0), Read(4, 5, 7)));
        Assert.False(Holds(LostWrite(0, 7), Read(2, 3, 7), Read(4, 5, 0)));
    }

    [Fact]
    public void Exchanges_ThatBothSawTheSame_DoNotHold()
    {
        Assert.True(Holds(Exchange(0, 5, 7, 0), Exchange(1, 6, 8, 7)));
        Assert.False(Holds(Exchange(0, 5, 7, 0), Exchange(1, 6, 8, 0)));
    }

    /// <summary>Made from a real order, so it holds; one answer changed to a value of another time, and it does not.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_HistoryOfARegister_Holds_AndNotAfterAStaleRead(int seed)
    {
        var random = new Random(seed);
        var operations = new List<RegisterOperation>();
        long value = 0, written = 0;
        for (var now = 1000L; operations.Count < 3000; now += random.Next(1, 10))
        {
            // Each takes effect at `now` and is under way for a while before and after.
            var (called, returned) = (now - random.Next(30), now + random.Next(30));
            switch (random.Next(3))
            {
                case 0: operations.Add(Write(called, returned, ++written)); value = written; break;
                case 1: operations.Add(Read(called, returned, value)); break;
                default: operations.Add(Exchange(called, returned, ++written, value)); value = written; break;
            }
        }
        Assert.True(RegisterHistory.IsLinearizable(operations));

        var late = operations.FindLastIndex(o => o.Told is not null);
        operations[late] = operations[late] with { Told = written / 2 };
        Assert.False(RegisterHistory.IsLinearizable(operations));
    }
}
