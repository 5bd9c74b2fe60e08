using System.Diagnostics;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Load;
using Pollux.Lab.Vms;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>What a round found.</summary>
/// <param name="PrimaryBefore">The host that ran the VM when the fault struck.</param>
/// <param name="Swaps">How often the role was swapped meanwhile.</param>
/// <param name="Takeover">Its times, when the other side took over.</param>
/// <param name="FirstAnswerMs">From just before the fault to the end of the silence that it made.</param>
public sealed record RoundResult(
    HostId PrimaryBefore, HostId PrimaryAfter, long Swaps, double? FirstAnswerMs, TakeoverStatus? Takeover, LoadReport Client, SwitchVerdict Switch, IReadOnlyList<SwitchFrame> Frames)
{
    public bool IsTakeover => PrimaryAfter != PrimaryBefore;

    public override string ToString() =>
        $"{PrimaryBefore} -> {PrimaryAfter}, first answer {FirstAnswerMs:0.0} ms, "
        + (Takeover is { } t ? $"detect {t.DetectMs:0.0} arbitrate {t.ArbitrateMs:0.0} resume {t.ResumeMs:0.0}, " : "")
        + $"{Client.Requests} requests, {Client.Acknowledged} acknowledged, {Client.Lost} lost, {Switch.Frames} frames of the VM";
}

/// <summary>
/// One fault under load: the VM is protected, a client works, a fault strikes one side, is mended as far as it mends, and the pair
/// becomes whole again while the client works on. Judged by the client's log and by what the switch saw.
/// </summary>
internal sealed class FaultRound(ProtectedLab lab, string fault, Side side, ulong seed)
{
    /// <summary>No fault: the user asks for a takeover.</summary>
    internal const string Planned = "planned takeover";

    private const int RequestsBefore = 200;
    private const int RequestsAfter = 200;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(20);

    internal async Task<RoundResult> RunAsync()
    {
        var before = await lab.WholeAsync();
        var primary = before.Role!.Primary.Host;
        var host = ProtectedLab.HostOf(before, side);
        await using var load = await lab.LoadAsync(seed);
        await using var recording = await SwitchRecording.StartAsync(lab.Cluster);
        await AnsweredAsync(load, RequestsBefore);

        var struck = fault == Planned ? await TakeOverAsync(host) : Strike(host);
        var silent = await SilentFromAsync(host, struck);
        Assert.True(await load.IsAnsweredAfterAsync(struck.StopwatchTicks + Ticks(Grace), Patience), $"no answer after {fault} of the {side}");
        await AnsweredAsync(load, RequestsAfter);
        var settled = Stopwatch.GetTimestamp();
        if (fault == "freeze")
        {
            Strike(new LabFault.Thaw(host.Value));
            await AnsweredAsync(load, RequestsAfter);
        }
        await lab.WholeAsync(recording);
        await AnsweredAsync(load, RequestsAfter);

        var after = await lab.Vm.ShowAsync();
        var client = await load.FinishAsync(Patience);
        var frames = await recording.StopAsync();
        var verdict = SwitchJudge.Judge(lab.VmMac, frames, side == Side.Primary ? silent : null);
        // A planned takeover begins when the agents have passed the order on.
        var outage = fault == Planned ? load.Log.LongestGapBetween(struck.StopwatchTicks, settled) : load.Log.OutageAt(struck.StopwatchTicks, Grace);
        return new RoundResult(
            primary, after.Role!.Primary.Host, after.Role.Term - before.Role.Term, outage is { } gap ? (gap.ToTicks - struck.StopwatchTicks) * 1000.0 / Stopwatch.Frequency : null,
            primary != after.Role.Primary.Host ? after.KeeperOn(after.Role.Primary.Host)?.LastTakeover : null, client, verdict, frames);
    }

    private async Task<StruckFault> TakeOverAsync(HostId host)
    {
        var struck = new StruckFault(Planned, host.Value, UnixMs(), Stopwatch.GetTimestamp(), 0);
        await lab.Vm.TakeOverAsync();
        return struck;
    }

    private StruckFault Strike(HostId host) => Strike(fault switch
    {
        "power-off" => new LabFault.PowerOff(host.Value),
        "freeze" => new LabFault.Freeze(host.Value),
        "kill-qemu" => new LabFault.KillQemu(lab.Vm.Name, host.Value),
        "kill-keeper" => new LabFault.KillKeeper(lab.Vm.Name, host.Value),
        "kill-agent" => new LabFault.KillAgent(host.Value),
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "no such fault"),
    });

    private StruckFault Strike(LabFault what)
    {
        using var prepared = lab.Cluster.Prepare(what);
        return prepared.Strike();
    }

    /// <summary>From when the host can say nothing any more, if the fault is of that kind. A freeze takes a moment to reach every task.</summary>
    private async Task<SilencingFault?> SilentFromAsync(HostId host, StruckFault struck)
    {
        switch (fault)
        {
            case "power-off":
                await lab.Cluster[host.Value].DeadAsync();
                return new SilencingFault(host.Value, struck.UnixMs + struck.TookMs);
            case "freeze":
                await Polling.UntilAsync(() => lab.Cluster[host.Value].Power == HostPower.Frozen, Patience, () => $"{host} does not freeze");
                return new SilencingFault(host.Value, UnixMs());
            default:
                return null;
        }
    }

    private static Task AnsweredAsync(RedisLoad load, int more)
    {
        var goal = load.Log.Count + more;
        return Polling.UntilAsync(() => load.Log.Count >= goal, Patience, () => $"the client's requests are not answered: {load.Log.Count} of {goal}");
    }

    private static double UnixMs() => (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalMilliseconds;

    private static long Ticks(TimeSpan span) => (long)(span.TotalSeconds * Stopwatch.Frequency);
}
