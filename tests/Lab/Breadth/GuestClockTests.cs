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
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    [Trait("Suite", "long")]
    public async Task GuestWithChrony_IsTrueAgainAfterATakeover_AndNeverGoesBack()
    {
        using var time = TimeServer.Start(breadth.Cluster);
        await breadth.WithAsync(RedisGuest.WithChrony(breadth.Redis), async lab =>
        {
            var whole = await lab.WholeAsync();
            using var clock = GuestClock.Open(lab.Cluster.OpenClientSocket);
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
