using Pollux.Lab.Hosts;
using Pollux.Lab.Torture;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>A guest with the kernel of another Debian survives as the example's does.</summary>
[Collection(BreadthTests.Name)]
public sealed class KernelTests(BreadthLab breadth, ITestOutputHelper output)
{
    [Theory]
    [Trait("Suite", "long")]
    [InlineData("trixie", "6.12.")]
    public async Task Guest_WithTheKernelOfAnotherDebian_SurvivesEachLossOfItsHost(string suite, string kernel)
    {
        var root = breadth.Cluster.Programs.Root;
        (await Tool.RunAsync(Path.Combine(root, "guest/build-redis.sh"), [suite])).Checked($"building the guest with the kernel of {suite}");
        var guest = Path.Combine(root, ".cache/guests", $"redis-{suite}");
        var spec = breadth.Redis with { Kernel = Path.Combine(guest, "vmlinuz"), Initrd = Path.Combine(guest, "initrd.gz") };
        await breadth.WithAsync(spec, async lab =>
        {
            // Where it booted: a takeover does not boot it again.
            var host = lab.Cluster[(await lab.WholeAsync()).Host.Value];
            var version = await lab.Cluster.ExecAsync(host.Name.Value, ["grep", "-am1", "Linux version", $"/run/pollux/vms/{lab.Vm.Name}/serial.log"]);
            Assert.Contains($"Linux version {kernel}", version.Checked("reading the guest's console").Output, StringComparison.Ordinal);
            var runner = new TortureRunner(lab, seed: 1);
            TortureRound[] rounds =
            [
                new(1, TorturePath.Steady, PairSide.Primary, Strike.PowerOff, null, 100, 0),
                new(2, TorturePath.Steady, PairSide.Primary, Strike.Freeze, null, 100, 1000),
                new(3, TorturePath.Steady, PairSide.Primary, Strike.KillQemu, null, 100, 0),
            ];
            foreach (var round in rounds)
            {
                var verdict = await runner.PlayAsync(round);
                output.WriteLine($"{suite}: {verdict.Round} silent for {verdict.OutageMs:0} ms, {verdict.Client?.Acknowledged} writes, evidence {verdict.Evidence}");
                Assert.Empty(verdict.Complaints);
                Assert.NotEqual(verdict.Before, verdict.After);
            }
        });
    }
}
