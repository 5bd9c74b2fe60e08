using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Breadth;
using Pollux.Lab.Tests.Labs;
using Pollux.Lab.Torture;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Torture;

/// <summary>Faults at named steps of the protocol in real keepers, judged from outside: a handful, and in the long suite every kind.</summary>
public sealed class TortureTests(ITestOutputHelper output)
{
    /// <summary>One of each path; the seed decides which moments and sides.</summary>
    [Fact]
    public Task Pair_TorturedAHandfulOfTimes_KeepsEveryPromise() => PlayAsync(seed: 4, TortureSchedule.Of(4, TortureSchedule.Kinds.Count)
        .GroupBy(r => r.Path).Select(g => g.First()).Append(TortureSchedule.Of(4, 1, "kill-keeper at the primary at Primary.Cut")[0]));

    [Fact]
    [Trait("Suite", "long")]
    public Task Pair_TorturedInEveryWay_KeepsEveryPromise() => PlayAsync(seed: 5, TortureSchedule.Of(5, TortureSchedule.Kinds.Count));

    /// <summary>Thirteen hundred rounds, some three hours by reckoning.</summary>
    [Fact]
    [Trait("Suite", "long")]
    public Task Pair_TorturedAHundredTimesByEachFault_KeepsEveryPromise() => PlayAsync(seed: 6, TortureSchedule.OfEach(6, 100));

    /// <summary>QEMU 10.0 and 11.1: what differs on the checkpoint channel is in docs/qemu.md.</summary>
    [Theory]
    [Trait("Suite", "long")]
    [InlineData("trixie")]
    [InlineData("trixie-backports")]
    public async Task Pair_UnderTheQemuOfALaterDebian_KeepsEveryPromise(string suite) =>
        await PlayAsync(seed: 3, TortureSchedule.Of(3, 12), await UnpackedQemu.OfAsync(suite));

    private async Task PlayAsync(ulong seed, IEnumerable<TortureRound> rounds, string? qemu = null)
    {
        await using var run = new TortureRun(TestLabs.Tortured, seed, null, new Progress<string>(), new LabOptions(Qemu: qemu));
        var report = await run.PlayAsync([.. rounds], v => output.WriteLine(
            $"{v.Round}: {v.Before} → {v.After}, silent for {v.OutageMs:0} ms, {v.Client?.Acknowledged} writes, {v.Beacon?.Heard} beacons {string.Join("; ", v.Complaints)} {v.Evidence}"), default);

        Assert.Empty(report.Results.SelectMany(r => r.Complaints.Select(c => $"round {r.Round}, {r.What}: {c}")));
        Assert.Equal((0, 0), (report.Unreached, report.Failed));
        Assert.Equal(0, report.Lost);
        Assert.True(report.Acknowledged > 100 * report.Rounds, $"{report.Acknowledged} writes in {report.Rounds} rounds");
    }
}
