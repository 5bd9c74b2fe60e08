using Pollux.Cluster.Keepers;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Replication.Pair;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Moving;

/// <summary>
/// A side of a live migration dies or is cut off at a step of it: one copy runs at the end, at the source or at the destination as the
/// role says, it is the guest of before, and the other host is clean.
/// </summary>
[Collection(MoveTestsCollection.Name)]
public sealed class MoveFaultTests(MoveLab lab, ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public enum Side
    {
        Source,
        Destination,
    }

    public enum Death
    {
        Keeper,
        Qemu,
        Power,
        Agent,
    }

    /// <summary>Where: the side that reaches the step, and the step. Who dies of what there.</summary>
    [Theory]
    // The state travels.
    [InlineData(Side.Source, "Hears.SwitchoverReached", Side.Source, Death.Keeper)]
    [InlineData(Side.Source, "Hears.SwitchoverReached", Side.Destination, Death.Keeper)]
    [InlineData(Side.Source, "Hears.SwitchoverReached", Side.Destination, Death.Power)]
    [InlineData(Side.Destination, "Hears.PrimaryConnected", Side.Destination, Death.Qemu)]
    // It has all been sent, and nothing handed over.
    [InlineData(Side.Source, "Hears.StreamSent", Side.Source, Death.Keeper)]
    [InlineData(Side.Source, "Hears.StreamSent", Side.Destination, Death.Qemu)]
    [InlineData(Side.Source, "Hears.StreamSent", Side.Source, Death.Agent)]
    // Handed over: who swaps first runs it.
    [InlineData(Side.Destination, "Hears.HandedOver", Side.Destination, Death.Keeper)]
    [InlineData(Side.Destination, "Hears.HandedOver", Side.Destination, Death.Power)]
    [InlineData(Side.Destination, "Does.SwapRole.Running", Side.Source, Death.Keeper)]
    [InlineData(Side.Destination, "Does.SwapRole.Running", Side.Source, Death.Power)]
    [InlineData(Side.Destination, "Does.SwapRole.Running", Side.Destination, Death.Keeper)]
    // The role says the destination, which has not let it run yet.
    [InlineData(Side.Destination, "Does.RunGuest", Side.Source, Death.Power)]
    [InlineData(Side.Destination, "Does.RunGuest", Side.Destination, Death.Keeper)]
    public async Task ASideDies_OneCopyRunsOn(Side at, string point, Side dies, Death death)
    {
        var (source, destination) = await lab.WholeAsync();
        string HostOf(Side side) => side == Side.Source ? source : destination;
        await lab.JudgedAsync(async _ =>
        {
            using (var armed = lab.Cluster.Arm(HostOf(at), lab.Vm.Name, point))
            {
                await lab.BeginAsync(destination, new MigrationSettings(BytesPerSecond: 100_000_000));
                await armed.ReachedAsync(Patience);
                using var fault = lab.Cluster.Prepare(death switch
                {
                    Death.Keeper => new LabFault.KillKeeper(lab.Vm.Name, HostOf(dies)),
                    Death.Qemu => new LabFault.KillQemu(lab.Vm.Name, HostOf(dies)),
                    Death.Power => new LabFault.PowerOff(HostOf(dies)),
                    _ => new LabFault.KillAgent(HostOf(dies)),
                });
                fault.Strike();
            }
            await lab.Vm.UntilAsync(v => v is { State: "running", Role.State: RoleState.Running } && lab.Cluster[v.Host.Value].Power == HostPower.On, "running", Patience);
            var (now, _) = await lab.WholeAsync();
            output.WriteLine($"{dies} loses its {death} at {at}'s {point}: it runs at {(now == source ? "the source" : "the destination")}");
        });
    }
}
