using Pollux.Migration.Policies;
using Pollux.Migration.Policies.Mp;

namespace Pollux.Unit.Tests.Migration;

/// <summary>What waits until the guest stands, and where a guest that goes over its memory in order will write next.</summary>
public sealed class PostponementTests
{
    private const long Ram = 256L << 20;
    private const double Slice = (double)Ram / RamSight.Slices;
    private const double Link = 128e3; // bytes per ms

    [Fact]
    public void Slices_ThatAreWrittenAllTheTime_Wait_AndOthersDoNot()
    {
        var postponed = Postponement.Of(Ram, Seen(10, 19), null, position: 0, untilStopMs: 100, mostBytes: Ram);

        Assert.Equal(Bits(10, 19), postponed.Slices);
        Assert.Equal(10 * Slice, postponed.AheadBytes);
    }

    [Fact]
    public void Slices_ThatWillBeWritten_WaitToo_IfThereIsTimeForIt()
    {
        var tenth = Seen(10, 10, share: 0.1);

        Assert.Equal(0UL, Postponement.Of(Ram, tenth, null, 0, untilStopMs: 300, Ram).Slices);
        Assert.Equal(Bits(10, 10), Postponement.Of(Ram, tenth, null, 0, untilStopMs: 700, Ram).Slices);
    }

    [Fact]
    public void NoMoreWaits_ThanFitsIntoThePause()
    {
        var postponed = Postponement.Of(Ram, Seen(10, 19), null, 0, 100, mostBytes: 4.5 * Slice);

        Assert.Equal(4, System.Numerics.BitOperations.PopCount(postponed.Slices));
        Assert.Equal(4 * Slice, postponed.AheadBytes);
        Assert.Equal(0UL, Postponement.Of(Ram, Seen(10, 19), null, 0, 100, mostBytes: -1).Slices);
    }

    [Fact]
    public void WhatQemuHasPassed_NeedsNoRoom() =>
        Assert.Equal(4.5 * Slice, Postponement.Of(Ram, Seen(10, 19), null, position: 15.5 * Slice, 100, Ram).AheadBytes);

    [Fact]
    public void WithoutASample_NothingWaits() => Assert.Equal(default, Postponement.Of(Ram, null, null, 0, 100, Ram));

    [Fact]
    public void BeforeAFront_SlicesWait_AsFarAsItComes()
    {
        var postponed = Postponement.Of(Ram, Seen(10, 12), new WriteFront(12, 1, SlicesPerMs: 0.02), 0, untilStopMs: 200, Ram);

        Assert.Equal(Bits(10, 16), postponed.Slices);
    }

    [Theory]
    [InlineData(10, 12, 15, 15, 1)]
    [InlineData(13, 15, 10, 10, -1)]
    public void Front_OfAGuestThatGoesOverItsMemory_IsFound(int first, int last, int reaches, int at, int step)
    {
        var (from, to) = (Math.Min(first, reaches), Math.Max(last, reaches));
        var front = WriteFront.In(Ram, Link, [Sample(Seen(first, last), 300), Sample(Seen(from, to), 400)]);

        Assert.Equal((at, step), (front!.Value.Slice, front.Value.Step));
        Assert.Equal(0.03, front.Value.SlicesPerMs, 3);
        Assert.True(front.Value.Reaches(at + (3 * step), 100));
        Assert.False(front.Value.Reaches(at + (4 * step), 100));
        Assert.False(front.Value.Reaches(at - step, 100));
    }

    [Fact]
    public void Front_IsNone_OfAGuestThatWritesEverywhere()
    {
        var random = new Random(1);
        double[] Anywhere(double most) => [.. Enumerable.Range(0, RamSight.Slices).Select(_ => random.NextDouble() * most * Slice)];
        var then = Anywhere(0.3);

        Assert.Null(WriteFront.In(Ram, Link, [Sample(Sight(then), 300), Sample(Sight([.. then.Zip(Anywhere(0.3), (a, b) => a + b)]), 400)]));
    }

    [Fact]
    public void Front_IsNone_WhenItIsMuchFasterThanTheLink_OrNothingWasSeenBefore()
    {
        Assert.Null(WriteFront.In(Ram, Link, [Sample(Seen(10, 12), 300), Sample(Seen(10, 22), 400)]));
        Assert.Null(WriteFront.In(Ram, Link, [Sample(Seen(10, 12), 300)]));
        Assert.Null(WriteFront.In(Ram, Link, [Sample(null, 300), Sample(null, 400)]));
    }

    /// <summary>QEMU believes for a while in a link as fast as memory, also when nothing more is to wait.</summary>
    [Fact]
    public void Mp_KeepsQemuFromStoppingByItself_WhilePagesCameToWaitJustNow()
    {
        var series = new SampleSeries().Send(200).With(s => s with { AtMs = s.AtMs + 50, SentPages = s.SentPages + 1_000, PostponedBySlice = Waiting(500) }).Look(80e6);
        var policy = new MpPolicy();

        Assert.Equal(1, Assert.IsType<MigrationOrder.Limit>(policy.Decide(SampleSeries.Terms, series.All)).DowntimeLimitMs);
        Assert.True(Assert.IsType<MigrationOrder.Limit>(policy.Decide(SampleSeries.Terms, series.Send(400).All)).DowntimeLimitMs > 1);
    }

    private static int[] Waiting(int pages) => [.. Enumerable.Range(0, RamSight.Slices).Select(s => s == 10 ? pages : 0)];

    private static ulong Bits(int first, int last) => Enumerable.Range(first, last - first + 1).Aggregate(0UL, (bits, s) => bits | (1UL << s));

    private static RamSight Seen(int first, int last, double share = 1) =>
        Sight([.. Enumerable.Range(0, RamSight.Slices).Select(s => s >= first && s <= last ? share * Slice : 0)]);

    private static RamSight Sight(double[] written) => new(Ram, []) { WrittenBySlice = written, SinceBeginMs = 300 };

    private static MigrationSample Sample(RamSight? sight, double atMs) =>
        new(atMs, 1, 0, Ram, 0, 0, 0, 128e6, null, 0) { Ram = sight is null ? null : sight with { SinceBeginMs = atMs } };
}
