using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Lab.Faults;
using Pollux.Lab.Vms;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>A user who does not trust the network asks for a slow detection: it is heartbeats that find a death all the same, and not the kernel's patience with a connection.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class SlowDetectionTests(ProtectedLab lab, ITestOutputHelper output)
{
    private static readonly ProtectionSettings Slow = new(DetectionMs: 3000);
    private static readonly ProtectionSettings AsBefore = new(DetectionMs: 150);

    [Theory]
    [Trait("Suite", "long")]
    [InlineData(Side.Primary)]
    [InlineData(Side.Standby)]
    public async Task PowerOff_OfAPairWithASlowDetection_IsFoundBySilence(Side side)
    {
        var begin = DateTimeOffset.UtcNow;
        await lab.WholeAsync();
        await lab.Vm.SetAsync(Slow);
        try
        {
            var left = "";
            await lab.RoundAsync($"power-off of the {side}, detection {Slow.DetectionMs} ms", output, async () =>
            {
                await using var round = await Round.BeginAsync(lab, 1);
                var host = round.HostOf(side);
                left = side == Side.Primary ? round.Standby : round.Primary;

                var struck = round.Strike(new LabFault.PowerOff(host.Value));
                var silent = await lab.DeadAsync(struck);
                await round.AnsweredSinceAsync(struck, $"power-off of the {side}");

                return await round.EndAsync(struck, side == Side.Primary ? silent : null);
            });

            var told = await lab.TellsAsync(left, begin, e => e.Kind == (side == Side.Primary ? EventKinds.Takeover : EventKinds.Solo));
            output.WriteLine(told.Text);
            Assert.Matches("is silent for [3-9][0-9]{3} ms", told.Text);
        }
        finally
        {
            await lab.Vm.SetAsync(AsBefore);
        }
    }
}
