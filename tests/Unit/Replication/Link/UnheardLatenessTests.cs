using Pollux.Replication.Link;

namespace Pollux.Unit.Tests.Replication.Link;

public sealed class UnheardLatenessTests
{
    private readonly UnheardLateness _lateness = new();

    private static bool OnTime() => false;

    [Fact]
    public void MayRelease_WhileNobodyWatches_No()
    {
        Assert.False(_lateness.MayRelease(() => true));
        Assert.True(_lateness.MayRelease(OnTime));
    }

    [Fact]
    public void MayRelease_OnlyOnceTheGapWasHeardOf()
    {
        _lateness.Found();
        Assert.False(_lateness.MayRelease(OnTime));

        _lateness.Heard();
        Assert.True(_lateness.MayRelease(OnTime));
    }

    /// <summary>Found by the simulator once in a million lives: a freeze while word of an earlier gap was on its way.</summary>
    [Fact]
    public void MayRelease_TwoGapsAndOneHeardOf_No()
    {
        _lateness.Found();
        _lateness.Found();

        _lateness.Heard();

        Assert.False(_lateness.MayRelease(OnTime));
    }

    /// <summary>The gap is found between the two questions.</summary>
    [Fact]
    public void MayRelease_AGapFoundWhileItIsAsked_No() => Assert.False(_lateness.MayRelease(() =>
    {
        _lateness.Found();
        return false;
    }));
}
