using Pollux.Cluster.Api;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Linux.Processes;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>QEMU does what it should not: it ends its checkpoints, refuses the state at takeover, or hangs.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class QemuRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    private const int Stop = 19;

    /// <summary>On a starved machine the standby may take over before it is asked to.</summary>
    private const int Attempts = 3;

    [Fact]
    public async Task ColoEndsByItself_PrimaryGoesOnAloneAndIsProtectedAgain()
    {
        var result = await lab.RoundAsync("COLO ends", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var struck = round.Strike(new LabFault.BreakChannel(lab.Vm.Name, round.Primary));
            await round.AnsweredSinceAsync(struck, "the end of COLO");
            return await round.EndAsync(struck);
        });
        Assert.False(result.IsTakeover);
        Assert.True(result.Swaps >= 2, $"alone and protected again are two swaps, not {result.Swaps}");
    }

    [Fact]
    public async Task StandbyRefusesTheState_OldPrimaryGoesOn()
    {
        var result = await lab.RoundAsync("the state refused", output, async () =>
        {
            for (var attempt = 1; ; attempt++)
            {
                var standby = (await lab.WholeAsync()).Role!.Standby!.Host.Value;
                await using var refusing = await RefusingQemu.InstallAsync(lab, standby);
                await using var round = await Round.BeginAsync(lab, 1);
                if (round.Standby != standby && attempt < Attempts)
                {
                    continue;
                }
                Assert.Equal(standby, round.Standby);
                var struck = Round.Now(FaultRound.Planned, round.HostOf(Side.Primary));
                var refusal = await TakeOverFailsAsync(round);
                Assert.Contains("could not take over: QEMU refused the state", refusal.Problem, StringComparison.Ordinal);
                await round.AnsweredSinceAsync(struck, "the refusal");
                return await round.EndAsync(struck);
            }
        });
        Assert.False(result.IsTakeover);
    }

    /// <summary>The taker's QEMU hangs: it is overruled after two seconds, and what it does later comes to nothing.</summary>
    [Fact]
    [Trait("Suite", "long")]
    public async Task TakerHangs_OldPrimaryOverrulesIt()
    {
        var result = await lab.RoundAsync("the taker hangs", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var struck = Round.Now(FaultRound.Planned, round.HostOf(Side.Primary));
            foreach (var qemu in lab.Cluster[round.Standby].FindQemus(lab.Vm.Name))
            {
                Assert.True(ProcessTable.TrySignal(qemu, Stop));
            }
            var refusal = await TakeOverFailsAsync(round);
            Assert.Contains("did not take over in time", refusal.Problem, StringComparison.Ordinal);
            await round.AnsweredSinceAsync(struck, "the hang");
            return await round.EndAsync(struck);
        });
        Assert.False(result.IsTakeover);
    }

    /// <summary>Asked of one agent, once, as a user does.</summary>
    private async Task<PolluxException> TakeOverFailsAsync(Round round)
    {
        using var agent = AgentClient.Local(lab.Cluster[round.Primary].AgentSocket);
        return await Assert.ThrowsAsync<PolluxException>(() => agent.TakeOverAsync(lab.Vm.Name, Round.Patience, CancellationToken.None));
    }
}
