using Pollux.Cluster.Keepers;
using Pollux.Lab.Vms;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>What the user changes while a VM runs holds on both sides, and for standbys that begin later.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class SettingsTests(ProtectedLab lab)
{
    private static readonly ProtectionSettings Changed = new(Trigger: "periodic", IntervalMs: 40, DetectionMs: 400, Compression: "always");
    private static readonly ProtectionSettings AsBefore = new(Trigger: "adaptive", IntervalMs: 100, DetectionMs: 150, Compression: "auto");

    [Fact]
    public async Task Settings_ChangedWhileItRuns_OutliveATakeover()
    {
        await lab.WholeAsync();
        await lab.Vm.SetAsync(Changed);
        try
        {
            await HoldOnBothSidesAsync();
            await lab.Vm.TakeOverAsync();
            await HoldOnBothSidesAsync();
        }
        finally
        {
            await lab.Vm.SetAsync(AsBefore);
        }
    }

    private async Task HoldOnBothSidesAsync()
    {
        var whole = await lab.WholeAsync();
        foreach (var host in new[] { whole.Role!.Primary.Host, whole.Role.Standby!.Host })
        {
            var settings = whole.KeeperOn(host)!.Settings;
            Assert.Equal((Changed.Trigger, Changed.IntervalMs, Changed.DetectionMs, Changed.Compression), (settings.Trigger, settings.IntervalMs, settings.DetectionMs, settings.Compression));
        }
    }
}
