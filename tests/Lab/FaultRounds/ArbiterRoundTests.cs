using Pollux.Cluster.Api;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Vms;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>etcd loses its majority, alone or together with a side of the pair. Nobody goes on alone while nobody can arbitrate.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class ArbiterRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    private const string Witness = "w";

    [Fact]
    public async Task EtcdLost_PairKeepsProtectingAndSaysSo()
    {
        var result = await lab.RoundAsync("etcd lost", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var struck = EtcdDown(round);
            await round.AnsweredSinceAsync(struck, "the loss of etcd");
            var seen = await SaysAsync("protected", "no arbiter: a takeover would wait");
            Assert.All(seen.Keepers, k => Assert.False(k.Status!.HasArbiter));
            await ListSaysAsync(round.Standby, "no arbiter");
            await round.AnsweredAsync();
            EtcdUp(round);
            await lab.Vm.UntilAsync(v => v is { State: "protected", Note: "" }, "protected with an arbiter", Round.Patience);
            return await round.EndAsync(struck);
        });
        Assert.Equal(0, result.Swaps);
    }

    [Fact]
    public async Task EtcdThenThePrimaryLost_TakeoverWaitsForEtcd()
    {
        var result = await lab.RoundAsync("etcd, then the primary lost", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            EtcdDown(round);
            var struck = round.Strike(new LabFault.PowerOff(round.Primary));
            var silent = await lab.DeadAsync(struck);
            // The standby has found out, and takes nothing.
            var answered = round.Answered;
            await SaysAsync("taking", "waits for an arbiter");
            Assert.Equal(answered, round.Answered);

            EtcdUp(round);
            await round.AnsweredSinceAsync(struck, "the return of etcd");
            return await round.EndAsync(struck, silent);
        });
        Assert.True(result.IsTakeover);
    }

    [Fact]
    public async Task EtcdThenTheStandbyLost_PrimaryHoldsUntilEtcdIsBack()
    {
        var result = await lab.RoundAsync("etcd, then the standby lost", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            EtcdDown(round);
            var struck = round.Strike(new LabFault.PowerOff(round.Standby));
            await lab.DeadAsync(struck);
            await SaysAsync("holding", "waits for an arbiter: the ");
            // The guest may have been answered between the strike and the holding, but not any more: its frames are held and it is stopped at its next checkpoint.
            var answered = round.Answered;
            var stopped = await CheckpointsEndAsync(round.Primary);
            Assert.Equal(answered, round.Answered);
            Assert.Equal(stopped, (await lab.Vm.ShowAsync()).KeeperOn(round.HostOf(Side.Primary))!.Checkpoints.Count);

            EtcdUp(round);
            await round.AnsweredSinceAsync(struck, "the return of etcd");
            return await round.EndAsync(struck);
        });
        Assert.False(result.IsTakeover);
    }

    /// <summary>The witness and the standby's host: what is left is one of three, on the side that runs the guest.</summary>
    private static StruckFault EtcdDown(Round round)
    {
        round.Strike(new LabFault.EtcdDown(Witness));
        return round.Strike(new LabFault.EtcdDown(round.Standby));
    }

    private static void EtcdUp(Round round)
    {
        round.Strike(new LabFault.EtcdUp(Witness));
        round.Strike(new LabFault.EtcdUp(round.Standby));
    }

    private Task<VmDocument> SaysAsync(string state, string note) =>
        lab.Vm.UntilAsync(v => v.State == state && v.Note.Contains(note, StringComparison.Ordinal), $"{state} with '{note}'", Round.Patience);

    /// <summary>A person reads it in the list, without waiting for etcd.</summary>
    private async Task ListSaysAsync(string host, string words)
    {
        var listed = (await lab.Cluster.ExecAsync(host, [lab.Cluster.Programs.Cli, "vm", "list"])).Checked("pollux vm list");
        Assert.Contains(words, listed.Output, StringComparison.Ordinal);
    }

    /// <summary>Waits until no checkpoint follows any more: two looks, a hundred milliseconds or more apart, that show the same number.</summary>
    private async Task<long> CheckpointsEndAsync(string primary)
    {
        var last = -1L;
        await Polling.UntilAsync(async c =>
        {
            var before = last;
            last = (await lab.Vm.ShowAsync(c)).Keepers.Single(k => k.Host.Value == primary).Status!.Checkpoints.Count;
            await Task.Delay(TimeSpan.FromMilliseconds(150), c);
            return last == before;
        }, Round.Patience, () => "the guest is not stopped");
        return last;
    }
}
