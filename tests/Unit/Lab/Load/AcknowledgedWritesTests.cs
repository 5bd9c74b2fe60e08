using Pollux.Lab.Load;

namespace Pollux.Unit.Tests.Lab.Load;

public sealed class AcknowledgedWritesTests
{
    private readonly AcknowledgedWrites _writes = new(seed: 7);

    [Fact]
    public void MayHold_AnAcknowledgedWrite_IsThatValueAlone()
    {
        _writes.WriteAcknowledged(3);

        Assert.True(_writes.MayHold(3, _writes.ValueOf(3)));
        Assert.False(_writes.MayHold(3, null));
        Assert.False(_writes.MayHold(3, _writes.ValueOf(4)));
        Assert.False(_writes.MayHold(3, new AcknowledgedWrites(seed: 8).ValueOf(3)));
        Assert.Equal([3], _writes.WrittenKeys);
    }

    [Fact]
    public void MayHold_AnUnansweredWriteOverAnAcknowledgedOne_IsEither()
    {
        const long next = 5 + AcknowledgedWrites.Keys;
        _writes.WriteAcknowledged(5);
        _writes.WriteUnknown(next);

        Assert.True(_writes.MayHold(5, _writes.ValueOf(5)));
        Assert.True(_writes.MayHold(5, _writes.ValueOf(next)));
        Assert.False(_writes.MayHold(5, null));
    }

    [Fact]
    public void MayHold_AnUnansweredFirstWrite_MayBeMissing()
    {
        _writes.WriteUnknown(1);

        Assert.True(_writes.MayHold(1, null));
        Assert.True(_writes.MayHold(1, _writes.ValueOf(1)));
        Assert.Empty(_writes.WrittenKeys);
    }

    [Fact]
    public void Count_AfterUnansweredIncrements_MayHaveGrownByThem()
    {
        Assert.True(_writes.CountAcknowledgedAs(1));
        _writes.CountUnknown();
        _writes.CountUnknown();

        Assert.True(_writes.CountAcknowledgedAs(3));
        Assert.False(_writes.CountAcknowledgedAs(5));
    }

    [Fact]
    public void Count_ThatFellBack_IsWrongAndLost()
    {
        Assert.True(_writes.CountAcknowledgedAs(1));
        Assert.True(_writes.CountAcknowledgedAs(2));

        Assert.False(_writes.CountAcknowledgedAs(2));
        Assert.Equal(2, _writes.CountLost(0));
        Assert.Equal(0, _writes.CountLost(3));
    }
}
