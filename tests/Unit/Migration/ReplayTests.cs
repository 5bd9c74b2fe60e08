using Pollux.Migration;
using Pollux.Migration.Policies;
using Pollux.Migration.Replay;

namespace Pollux.Unit.Tests.Migration;

/// <summary>The model against what was measured of QEMU, and MP against the others on guests that are made up.</summary>
public sealed class ReplayTests
{
    private const double Link = 128e6;
    private const double Allowed = 1500;

    /// <summary>What recording or noise may cost: runs of two policies begin at different moments of the guest.</summary>
    private const double Noise = 1.05;

    private static MigrationTerms Terms(MemoryTrace trace, double deadlineMs = 60_000) => new(trace.RamBytes, Allowed, deadlineMs, Link, OverheadMs: 50, WhenLonger.Wait);

    public static TheoryData<string> IntensiveGuests => ["sweep 1.2", "sweep 2", "sweep 4", "scattered"];

    private static MemoryTrace Guest(string name) => name switch
    {
        "sweep 1.2" => SyntheticTraces.Sweep(1.2 * Link),
        "sweep 2" => SyntheticTraces.Sweep(2 * Link),
        "sweep 4" => SyntheticTraces.Sweep(4 * Link),
        _ => SyntheticTraces.Scattered(6 * Link, hotMiB: 120),
    };

    private static IReadOnlyList<MigrationRun> Runs(IMigrationPolicy policy, MemoryTrace trace, double deadlineMs = 60_000) =>
        [.. Enumerable.Range(1, 5).Select(seed => MigrationReplay.Run(policy, Terms(trace, deadlineMs), trace, Link, seed, seed))];

    private static double Median(IEnumerable<MigrationRun> runs, Func<MigrationRun, double> figure) => runs.Select(figure).Order().ElementAt(2);

    /// <summary>The smallest limit at which one run ends soon: a better rival than the one that may take a minute, and found sooner.</summary>
    private static IReadOnlyList<MigrationRun> Relaxed(MemoryTrace trace)
    {
        const double soonMs = 10_000;
        for (var limit = 300.0; ; limit += 100)
        {
            var policy = FixedLimitPolicy.Relaxed(limit);
            if (MigrationReplay.Run(policy, Terms(trace, soonMs), trace, Link, seed: 1).Succeeded)
            {
                return Runs(policy, trace);
            }
        }
    }

    [Theory]
    [MemberData(nameof(IntensiveGuests))]
    public void Stock_OfAnIntensiveGuest_NeverEnds_AsMeasured(string guest)
    {
        // A real guest rewriting 150 MiB at 1.2 and 2 times 128 MB/s: unfinished after 60 s and 7.0 to 7.5 GiB.
        var trace = Guest(guest);

        var run = MigrationReplay.Run(FixedLimitPolicy.Stock(), Terms(trace), trace, Link, seed: 1);

        Assert.False(run.Succeeded);
        Assert.Null(run.PauseMs);
        Assert.InRange(run.SentBytes, 7.0 * (1 << 30), 7.5 * (1 << 30));
    }

    [Fact]
    public void AutoConverge_EndsByHoldingTheGuestBack_AsMeasured()
    {
        // Measured at twice the link: 14 to 30 s, 1.8 to 3.6 GB, the guest at 0.4 to 0.7 of its speed.
        var runs = Runs(FixedLimitPolicy.AutoConverge(), Guest("sweep 2"));

        Assert.All(runs, r => Assert.True(r.Succeeded));
        Assert.InRange(Median(runs, r => r.TotalSeconds), 12, 30);
        Assert.InRange(Median(runs, r => r.GuestSpeed!.Value), 0.4, 0.75);
    }

    [Theory]
    [MemberData(nameof(IntensiveGuests))]
    public void Mp_OfAnIntensiveGuest_KeepsItsGoals(string guest)
    {
        var trace = Guest(guest);
        var (mp, capped, relaxed) = (Runs(new MpPolicy(), trace), Runs(FixedLimitPolicy.Capped(), trace), Relaxed(trace));

        Assert.All(mp, r => Assert.True(r.Succeeded, r.Why));
        Assert.All(mp, r => Assert.InRange(r.PauseMs!.Value, 1, Allowed));
        Assert.True(Median(mp, r => r.TotalSeconds) <= Noise * Median(capped, r => r.TotalSeconds));
        Assert.True(Median(mp, r => r.SentBytes) <= Noise * Median(capped, r => r.SentBytes));
        Assert.True(Median(mp, r => r.TotalSeconds) < Median(relaxed, r => r.TotalSeconds));
        Assert.True(Median(mp, r => r.SentBytes) < Median(relaxed, r => r.SentBytes));
    }

    [Fact]
    public void Mp_OfAGuestWithLittleMemoryInUse_NeedsLessThanCapped_OnAllCounts()
    {
        var trace = SyntheticTraces.Sweep(2 * Link, used: 160);
        var (mp, capped) = (Runs(new MpPolicy(), trace), Runs(FixedLimitPolicy.Capped(), trace));

        Assert.True(Median(mp, r => r.TotalSeconds) < 0.7 * Median(capped, r => r.TotalSeconds));
        Assert.True(Median(mp, r => r.SentBytes) < 0.7 * Median(capped, r => r.SentBytes));
        Assert.All(mp, r => Assert.InRange(r.PauseMs!.Value, 1, Allowed));
    }

    [Fact]
    public void Mp_OfAQuietGuest_PausesItForNextToNothing()
    {
        var trace = SyntheticTraces.Idle(used: 256);
        var (mp, capped) = (Runs(new MpPolicy(), trace), Runs(FixedLimitPolicy.Capped(), trace));

        Assert.All(mp, r => Assert.InRange(r.PauseMs!.Value, 1, 100));
        Assert.All(capped, r => Assert.InRange(r.PauseMs!.Value, 1000, 1600));
        Assert.True(Median(mp, r => r.SentBytes) <= 1.02 * Median(capped, r => r.SentBytes));
    }

    [Fact]
    public void Mp_WhenThePauseCannotBeKept_EndsAsChosen()
    {
        var trace = SyntheticTraces.Sweep(2 * Link);
        MigrationRun With(WhenLonger chosen, MemoryTrace guest) =>
            MigrationReplay.Run(new MpPolicy(), Terms(guest) with { MaxPauseMs = 400, WhenLonger = chosen }, guest, Link, 1);

        var gaveUp = With(WhenLonger.GiveUp, trace);
        Assert.False(gaveUp.Succeeded);
        Assert.True(gaveUp.TotalSeconds < 1, gaveUp.Why);

        var throttled = With(WhenLonger.Throttle, trace);
        Assert.True(throttled is { Succeeded: true, PauseMs: <= 400, GuestSpeed: < 0.9 }, throttled.Why);

        var waited = With(WhenLonger.Wait, SyntheticTraces.Phases(trace, SyntheticTraces.Idle(), seconds: 6));
        Assert.True(waited is { Succeeded: true, PauseMs: <= 400, GuestSpeed: 1 }, waited.Why);
    }

    /// <summary>Guests, links and pauses by chance: a migration that ends keeps the pause, and one that does not says so at the deadline.</summary>
    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    public void Mp_OfAnyGuest_NeverPausesItForLongerThanAllowed(int seed)
    {
        var random = new Random(seed);
        for (var n = 0; n < 6; n++)
        {
            var link = 50e6 + (random.NextDouble() * 400e6);
            var rate = link * 3 * random.NextDouble();
            var hot = random.Next(4, 120);
            var trace = random.Next(2) == 0 ? SyntheticTraces.Sweep(rate, hot, groups: 128, used: random.Next(128), from: 4) : SyntheticTraces.Scattered(rate, hot, groups: 128, used: random.Next(128), from: 4);
            var terms = new MigrationTerms(trace.RamBytes, 100 + random.Next(1500), 20_000, link, random.Next(60), WhenLonger.Wait);

            var run = MigrationReplay.Run(new MpPolicy(), terms, trace, link, seed, isWatched: random.Next(2) == 0);

            Assert.True(run.Succeeded ? run.PauseMs <= terms.MaxPauseMs : run.TotalSeconds >= 20, $"{trace.Guest} over {link / 1e6:0} MB/s, hot {hot}, {terms}: {run}");
        }
    }

    [Fact]
    public void Replay_OfTheSameSeed_IsTheSame()
    {
        var trace = Guest("sweep 2");
        MigrationRun Once(int seed) => MigrationReplay.Run(new MpPolicy(), Terms(trace), trace, Link, seed);

        Assert.Equal(Once(3), Once(3));
        Assert.NotEqual(Once(3).TotalSeconds, Once(4).TotalSeconds);
    }
}
