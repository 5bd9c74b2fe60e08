using Pollux.Lab.Hosts;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>A standby's QEMU hangs while it is prepared. Whoever is sent away then ends, QEMU and all, and the next one stands by.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class PreparingTests(ProtectedLab lab)
{
    private const int Stop = 19;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <param name="afterMs">After it was seen first: at once it has not greeted yet, later it is rehearsed with, last it listens.</param>
    [Theory]
    [InlineData(0)]
    [InlineData(150)]
    [InlineData(600)]
    public async Task StandbysQemu_ThatHangs_EndsWithItsKeeperWhenItIsSentAway(int afterMs)
    {
        var host = lab.Cluster[(await lab.WholeAsync()).Role!.Standby!.Host.Value];
        await lab.Vm.UnprotectAsync();
        await NothingIsLeftAsync(host);
        try
        {
            await lab.Vm.ProtectAsync();
            await Polling.UntilAsync(() => host.FindQemus(lab.Vm.Name).Count > 0, Patience, () => "no standby is prepared");
            await Task.Delay(afterMs);
            foreach (var qemu in host.FindQemus(lab.Vm.Name))
            {
                ProcessTable.TrySignal(qemu, Stop);
            }
            await lab.Vm.UnprotectAsync();

            await NothingIsLeftAsync(host);
            await lab.Vm.UntilAsync(v => v is { State: "running", Keepers.Count: 1 }, "running alone", Patience);
        }
        finally
        {
            await lab.Vm.ProtectAsync();
            await lab.WholeAsync();
        }
    }

    private static Task NothingIsLeftAsync(LabHost host) =>
        Polling.UntilAsync(() => host.FindKeepers().Count == 0 && host.FindQemus().Count == 0, Patience, () => $"{host.Name} still has {host.FindKeepers().Count} keepers and {host.FindQemus().Count} QEMUs");
}
