using Pollux.Replication.Checkpointing;

namespace Pollux.Unit.Tests.Replication.Checkpointing;

public sealed class TriggerPolicyTests
{
    private const double FloorMs = 5;
    private const double IntervalMs = 100;

    private static TriggerDecision Decide(Trigger trigger, double runMs = 0, long held = 0, int inFlight = 0, double pagesPerMs = 0, long early = 5000) =>
        TriggerPolicy.Decide(new TriggerSettings(trigger, FloorMs, IntervalMs, early), new TriggerView(runMs, held, inFlight, pagesPerMs));

    [Fact]
    public void Periodic_WhateverWaits_LeavesItToQemusTimer()
    {
        Assert.Equal(TriggerDecision.LeaveIt, Decide(Trigger.Periodic, runMs: 90, held: 10, pagesPerMs: 1e6));
    }

    [Fact]
    public void OnOutput_AFrameThatWaits_CutsAtOnce()
    {
        Assert.True(Decide(Trigger.OnOutput, runMs: 0.1, held: 1).Now);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(0, 3)]
    public void OnOutput_NothingWaitsOrACommitIsUnderWay_LeavesIt(long held, int inFlight)
    {
        Assert.Equal(TriggerDecision.LeaveIt, Decide(Trigger.OnOutput, runMs: 50, held: held, inFlight: inFlight));
    }

    [Theory]
    [InlineData(0, 5)]
    [InlineData(2, 3)]
    [InlineData(5, 0)]
    [InlineData(80, 0)]
    public void Adaptive_AFrameThatWaits_CutsWhenTheFloorHasPassed(double runMs, double afterMs)
    {
        Assert.Equal(afterMs, Decide(Trigger.Adaptive, runMs: runMs, held: 1).AfterMs);
    }

    [Theory]
    [InlineData(5, 7, 0, 0)]      // few frames: at the floor
    [InlineData(5, 8, 0, 2)]      // it goes on talking: look again
    [InlineData(5, 8, 0.5, 1.5)]
    [InlineData(5, 8, 2, 0)]      // it has said what it had to say
    [InlineData(11.5, 50, 0, 0.5)]
    [InlineData(12, 50, 0, 0)]    // it has had four times its pause
    [InlineData(1, 50, 3, 4)]     // never before the floor
    public void Adaptive_ABusyGuest_MayTalkForFourPauses(double runMs, long held, double quietMs, double afterMs)
    {
        var settings = new TriggerSettings(Trigger.Adaptive, FloorMs, IntervalMs, 5000);
        var decision = TriggerPolicy.Decide(settings, new TriggerView(runMs, held, 0, 0, quietMs, PauseMs: 3));
        Assert.Equal(afterMs, decision.AfterMs!.Value, 9);
    }

    [Fact]
    public void Adaptive_ManyDirtyPages_CutsWhenTheForecastReachesTheThreshold()
    {
        Assert.Equal(40, Decide(Trigger.Adaptive, runMs: 10, pagesPerMs: 100).AfterMs);
        Assert.True(Decide(Trigger.Adaptive, runMs: 50, pagesPerMs: 100).Now);
    }

    [Fact]
    public void Adaptive_AnyNumberOfDirtyPages_NeverGoesBelowTheFloor()
    {
        Assert.Equal(FloorMs - 1, Decide(Trigger.Adaptive, runMs: 1, pagesPerMs: 1e9).AfterMs);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(50)]
    [InlineData(49.9)]
    public void Adaptive_AForecastBeyondQemusTimer_LeavesIt(double pagesPerMs)
    {
        Assert.Equal(TriggerDecision.LeaveIt, Decide(Trigger.Adaptive, runMs: 10, pagesPerMs: pagesPerMs));
    }

    [Fact]
    public void Adaptive_AFrameThatWaitsBehindACommit_IsLeftToTheForecast()
    {
        Assert.Equal(TriggerDecision.LeaveIt, Decide(Trigger.Adaptive, runMs: 10, held: 1, inFlight: 1));
    }
}
