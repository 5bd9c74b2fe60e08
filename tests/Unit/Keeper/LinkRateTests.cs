using Pollux.Keeper.Events;

namespace Pollux.Unit.Tests.Keeper;

public sealed class LinkRateTests
{
    [Fact]
    public void PerSecond_OfTheWindowOnly()
    {
        var rate = new LinkRate(60_000);
        var session = new object();
        Assert.Equal((0, 0, 0), rate.PerSecond());
        rate.Note(session, 0, 0, 0, 0);
        rate.Note(session, 500, 5000, 1000, 500);
        Assert.Equal((10_000, 2000, 1000), rate.PerSecond());
        rate.Note(session, 60_000, 5000, 1000, 500);
        rate.Note(session, 60_500, 5000, 1000, 500);
        Assert.Equal((0, 0, 0), rate.PerSecond());
    }

    [Fact]
    public void PerSecond_OfAnotherSession_BeginsAnew()
    {
        var rate = new LinkRate(60_000);
        rate.Note(new object(), 0, 1 << 30, 1 << 30, 1 << 30);
        rate.Note(null, 500, 0, 0, 0);
        rate.Note(null, 1000, 0, 0, 0);
        Assert.Equal((0, 0, 0), rate.PerSecond());
    }
}
