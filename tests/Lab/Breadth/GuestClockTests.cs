using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>A guest with chrony finds the true time again after what checkpoints and a takeover took from its clock, and never sets it back.</summary>
[Collection(BreadthTests.Name)]
public sealed class GuestClockTests(BreadthLab breadth, ITestOutputHelper output)
{
    private const double TrueMs = 50;

    /// <summary>Protected (periodic: a checkpoint for each answer would stop it for more than chrony can make good) and under load the guest is behind, by no more than what chrony has not made good yet; without chrony it would be behind by more after some seconds.</summary>
    private const double BehindMs = 500;
    private static readonly TimeSpan Protected = TimeSpan.FromSeconds(40);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    [Trait("Suite", "long")]
    public async Task GuestWithChrony_IsTrueAgainAfterATakeover_AndNeverGoesBack()
    {
        using var time = TimeServer.Start(breadth.Cluster);
        await breadth.WithAsync(RedisGuest.WithChrony(breadth.Redis) with { FaultTolerance = breadth.Redis.FaultTolerance with { Trigger = "periodic" } }, async lab =>
        {
            var whole = await lab.WholeAsync();
            using var clock = GuestClock.Open(lab.Cluster.OpenClientSocket);
            await using (await lab.LoadAsync(1))
            {
                await Polling.UntilAsync(() => clock.Read().OffsetMs > -BehindMs, Patience, () => $"it is {clock.Read()}");
                var readings = new List<ClockReading>();
                await Polling.UntilAsync(() =>
                {
                    readings.Add(clock.Read());
                    return readings[^1].AtUnixMs - readings[0].AtUnixMs > Protected.TotalMilliseconds;
                }, 2 * Protected, () => "the guest does not answer");
                output.WriteLine($"protected: {readings.Min(r => r.OffsetMs):0} to {readings.Max(r => r.OffsetMs):0} ms in {readings.Count} readings");
                Assert.All(readings, r => Assert.InRange(r.OffsetMs, -BehindMs, TrueMs));
            }
            var before = clock.Read();
            using (var fault = lab.Cluster.Prepare(new LabFault.PowerOff(whole.Host.Value)))
            {
                fault.Strike();
            }
            var after = clock.Read();
            output.WriteLine($"before {before}\nafter {after}");
            Assert.True(after.OffsetMs < TrueMs, $"a takeover puts the clock forward: {after}");

            await Polling.UntilAsync(() => Math.Abs(clock.Read().OffsetMs) < TrueMs, Patience, () => $"it is {clock.Read()}");
            output.WriteLine($"then {clock.Read()}");
            Assert.Equal(0, clock.StepsBack);
            Assert.True(clock.Readings > 10, $"{clock.Readings} readings");
        });
    }
}
