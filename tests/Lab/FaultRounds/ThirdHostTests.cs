using System.Diagnostics;
using Pollux.Cluster.Api;
using Pollux.Lab.Faults;
using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Labs;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>Three hosts: what one of them loses, the third has, and does not wait until the lost one is back.</summary>
public sealed class ThreeHosts() : ProtectedLab(TestLabs.Second, new LabOptions(Hosts: 3));

/// <summary>A pair that loses a host for long is whole again with a third one.</summary>
public sealed class ThirdHostTests(ThreeHosts lab, ITestOutputHelper output) : IClassFixture<ThreeHosts>
{
    private static readonly TimeSpan Protect = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(Side.Standby)]
    [InlineData(Side.Primary)]
    public async Task Pair_ThatLosesAHost_IsWholeAgainOnTheThird_WhileThatHostIsOff(Side side)
    {
        VmDocument? without = null;
        var result = await lab.RoundAsync($"power-off of the {side}, two hosts left", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var host = round.HostOf(side);
            var (left, third) = (side == Side.Primary ? round.Standby : round.Primary, lab.Cluster.Hosts.Single(h => h.Name.Value != round.Primary && h.Name.Value != round.Standby).Name);

            var struck = round.Strike(new LabFault.PowerOff(host.Value));
            var silent = await lab.DeadAsync(struck);
            await round.AnsweredSinceAsync(struck, $"power-off of the {side}");
            without = await lab.Vm.UntilAsync(v => v is { State: "protected", Role.Standby: not null } && v.Role.Primary.Host != host && v.Role.Standby.Host != host, "protected without it", Protect);
            Assert.Equal((left, third.Value), (without.Role!.Primary.Host.Value, without.Role.Standby!.Host.Value));
            output.WriteLine($"protected by {third} {Stopwatch.GetElapsedTime(struck.StopwatchTicks).TotalSeconds:0.0} s after the fault");
            await round.AnsweredAsync();

            return await round.EndAsync(struck, side == Side.Primary ? silent : null);
        });

        Assert.Equal(without!.Role!.Primary, (await lab.Vm.ShowAsync()).Role!.Primary);
        Assert.Equal(side == Side.Primary, result.IsTakeover);
    }
}
