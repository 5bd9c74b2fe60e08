using System.Diagnostics;
using Pollux.Lab.Load;

namespace Pollux.Unit.Tests.Lab.Load;

public sealed class RequestLogTests
{
    private static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(20);
    private readonly RequestLog _log = new();

    [Fact]
    public void OutageAt_AReplyReadJustAfterTheFault_CountsTheSilenceThatFollows()
    {
        Answered(90, 99);
        Answered(99, 101);
        Answered(101, 320);
        Answered(320, 330);

        var outage = _log.OutageAt(Ms(100), Grace);

        Assert.Equal((Ms(101), Ms(320)), (outage!.Value.FromTicks, outage.Value.ToTicks));
    }

    [Fact]
    public void OutageAt_WithNoReplyAfterTheFault_IsUnknown()
    {
        Answered(10, 20);
        Answered(20, 30);
        _log.TryAdd(new Exchange(RequestKind.Write, Ms(30), 0));

        Assert.Null(_log.OutageAt(Ms(100), Grace));
    }

    [Fact]
    public void OutageAt_ALaterLongerSilence_IsNotTheFaults()
    {
        Answered(90, 99);
        Answered(99, 250);
        Answered(250, 900);

        Assert.Equal(Ms(250), _log.OutageAt(Ms(100), Grace)!.Value.ToTicks);
    }

    [Fact]
    public void FirstAnswerAfter_SkipsWhatWasNeverAnswered()
    {
        Answered(10, 20);
        _log.TryAdd(new Exchange(RequestKind.Write, Ms(20), 0));
        Answered(40, 50);

        Assert.Equal(Ms(50), _log.FirstAnswerAfter(Ms(20))!.Value.ReplyTicks);
        Assert.Null(_log.FirstAnswerAfter(Ms(50)));
    }

    [Fact]
    public void RoundTrips_OfASpan_AreSummedUpByNearestRank()
    {
        for (var i = 1; i <= 100; i++)
        {
            Answered(1000 * i, 1000 * i + i);
        }

        Assert.Equal(new LatencySummary(100, 50, 99, 100), _log.RoundTripsBetween(0, long.MaxValue));
        Assert.Equal(0, _log.RoundTripsBetween(0, 1).Count);
        Assert.Equal(1001, _log.LongestGapBetween(0, long.MaxValue)!.Value.Ms);
    }

    private void Answered(double sentMs, double replyMs) => _log.TryAdd(new Exchange(RequestKind.Write, Ms(sentMs), Ms(replyMs)));

    private static long Ms(double ms) => (long)(ms * Stopwatch.Frequency / 1000);
}
