using Pollux.Replication.Link;

namespace Pollux.Unit.Tests.Replication.Link;

/// <summary>Silence is death only as far as the observer itself was watching (rule 8). Time is the test's.</summary>
public sealed class SilenceJudgeTests
{
    private const double DetectionMs = 150;
    private const double PeriodMs = 5;
    private readonly SilenceJudge _judge = new(DetectionMs, PeriodMs);
    private double _nowMs = 1000;

    /// <summary>Ticks on time until something is said; the time it took.</summary>
    private (double Ms, SilenceVerdict Verdict) WatchUntilSaid(long heard, double forMs)
    {
        var begin = _nowMs;
        while (_nowMs - begin < forMs)
        {
            _nowMs += PeriodMs;
            var verdict = _judge.Tick(_nowMs, heard);
            if (verdict != default)
            {
                return (_nowMs - begin, verdict);
            }
        }
        return (_nowMs - begin, default);
    }

    [Fact]
    public void Tick_APeerThatIsHeard_IsNeverAccused()
    {
        for (var heard = 0; heard < 1000; heard++)
        {
            _nowMs += PeriodMs;
            Assert.Equal(default, _judge.Tick(_nowMs, heard));
        }
    }

    [Fact]
    public void Tick_Silence_IsSaidOnceWhenTheDetectionTimeIsOver()
    {
        _judge.Tick(_nowMs, 1);

        var (ms, verdict) = WatchUntilSaid(heard: 1, forMs: 1000);

        Assert.Equal(DetectionMs, ms);
        Assert.Equal(DetectionMs, verdict.SilentMs);
        Assert.Equal(default, WatchUntilSaid(heard: 1, forMs: 1000).Verdict);
    }

    [Fact]
    public void Tick_ALateObserver_SaysSoAndAccusesNobody()
    {
        _judge.Tick(_nowMs, 1);
        _nowMs += 10_000;

        var verdict = _judge.Tick(_nowMs, 1);

        Assert.Equal(10_000, verdict.LateMs);
        Assert.Null(verdict.SilentMs);
        Assert.Equal(DetectionMs - (2 * PeriodMs), WatchUntilSaid(heard: 1, forMs: 1000).Ms);
    }

    [Fact]
    public void Tick_ALateObserverWhosePeerWasHeardMeanwhile_ListensAnew()
    {
        _judge.Tick(_nowMs, 1);
        WatchUntilSaid(heard: 1, forMs: DetectionMs - PeriodMs);
        _nowMs += 10_000;

        Assert.Equal(new SilenceVerdict(null, 10_000, false), _judge.Tick(_nowMs, 2));
        Assert.Equal(DetectionMs, WatchUntilSaid(heard: 2, forMs: 1000).Ms);
    }

    [Fact]
    public void Tick_APeerHeardAfterASilenceWasSaid_IsReported()
    {
        _judge.Tick(_nowMs, 1);
        WatchUntilSaid(heard: 1, forMs: 1000);

        Assert.True(_judge.Tick(_nowMs + PeriodMs, 2).HeardAgain);
        Assert.False(_judge.Tick(_nowMs + (2 * PeriodMs), 3).HeardAgain);
    }

    [Theory]
    [InlineData(DetectionMs / 2, false)]
    [InlineData((DetectionMs / 2) + 1, true)]
    public void Tick_AGapLongerThanHalfTheDetectionTime_CountsAsLate(double gapMs, bool late)
    {
        _judge.Tick(_nowMs, 1);

        Assert.Equal(late, _judge.Tick(_nowMs + gapMs, 2).LateMs is not null);
    }

    [Fact]
    public void DetectionMs_ChangedWhileWatching_CountsAtOnce()
    {
        _judge.Tick(_nowMs, 1);
        WatchUntilSaid(heard: 1, forMs: 100);

        _judge.DetectionMs = 50;

        Assert.Equal(PeriodMs, WatchUntilSaid(heard: 1, forMs: 1000).Ms);
    }
}
