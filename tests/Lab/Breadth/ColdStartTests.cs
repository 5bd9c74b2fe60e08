using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>Both hosts of a pair lose their power at once: the last commit is gone, and the guest begins anew, in one place.</summary>
[Collection(BreadthTests.Name)]
public sealed class ColdStartTests(BreadthLab breadth, ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [Theory]
    [Trait("Suite", "long")]
    [InlineData(true)]
    [InlineData(false)]
    public Task BothHosts_LosePower_TheGuestBeginsAnewOnce(bool primaryComesFirst) => breadth.WithAsync(breadth.Redis, async lab =>
    {
        var before = await lab.WholeAsync();
        var (primary, standby) = (before.Role!.Primary.Host, before.Role.Standby!.Host);
        using (var one = lab.Cluster.Prepare(new LabFault.PowerOff(primary.Value)))
        using (var other = lab.Cluster.Prepare(new LabFault.PowerOff(standby.Value)))
        {
            one.Strike();
            other.Strike();
        }

        foreach (var host in primaryComesFirst ? new[] { primary, standby } : [standby, primary])
        {
            await lab.Cluster.PowerOnAsync(host.Value);
            Assert.InRange(lab.Cluster.Hosts.Sum(h => h.Power == HostPower.Off ? 0 : h.FindQemus().Count(_ => h.Name == primary)), 0, 1);
        }
        var after = await lab.Vm.UntilAsync(v => v.State == "protected", "protected again", Patience);

        output.WriteLine($"{before.Role.Term}: {primary} and {standby} → {after.Role!.Term}: {after.Role.Primary.Host} and {after.Role.Standby?.Host}");
        Assert.NotEqual(before.Role.Primary.Incarnation, after.Role.Primary.Incarnation);
        await (await lab.LoadAsync(1)).DisposeAsync();
        await lab.WholeAsync();
    });
}
