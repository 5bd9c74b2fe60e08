using System.Diagnostics;
using Pollux.Cluster.Api;
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
/// What every round shares: it begins with the VM protected, a client that writes, reads and counts over one connection, and a recording of
/// the switch; it ends with the pair whole again and everything judged. Between the two a test does harm.
/// </summary>
internal sealed class Round : IAsyncDisposable
{
    /// <summary>So many requests before a fault, and after each step.</summary>
    private const int Requests = 200;

    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly ProtectedLab _lab;
    private readonly VmDocument _before;
    private readonly RedisLoad _load;
    private readonly SwitchRecording _recording;

    private Round(ProtectedLab lab, VmDocument before, RedisLoad load, SwitchRecording recording) =>
        (_lab, _before, _load, _recording) = (lab, before, load, recording);

    internal string Primary => HostOf(Side.Primary).Value;

    internal string Standby => HostOf(Side.Standby).Value;

    /// <summary>Requests that were answered so far.</summary>
    internal long Answered => _load.Log.Count;

    internal static async Task<Round> BeginAsync(ProtectedLab lab, ulong seed)
    {
        var before = await lab.WholeAsync();
        var load = await lab.LoadAsync(seed);
        try
        {
            var round = new Round(lab, before, load, await SwitchRecording.StartAsync(lab.Cluster));
            await round.AnsweredAsync();
            return round;
        }
        catch
        {
            await load.DisposeAsync();
            throw;
        }
    }

    internal HostId HostOf(Side side) => ProtectedLab.HostOf(_before, side);

    internal StruckFault Strike(LabFault what)
    {
        using var prepared = _lab.Cluster.Prepare(what);
        return prepared.Strike();
    }

    /// <summary>A fault that is no command of the lab, struck now.</summary>
    internal static StruckFault Now(string fault, HostId host) =>
        new(fault, host.Value, (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalMilliseconds, Stopwatch.GetTimestamp(), 0);

    /// <summary>The client works on.</summary>
    internal Task AnsweredAsync(int requests = Requests)
    {
        var goal = Answered + requests;
        return Polling.UntilAsync(() => Answered >= goal, Patience, () => $"the client's requests are not answered: {Answered} of {goal}");
    }

    /// <summary>The client is answered after the fault, and works on.</summary>
    internal async Task AnsweredSinceAsync(StruckFault struck, string what)
    {
        Assert.True(await _load.IsAnsweredAfterAsync(struck.StopwatchTicks + Ticks(struck.Grace), Patience), $"no answer after {what}");
        await AnsweredAsync();
    }

    /// <summary>Makes the pair whole, ends the load and judges.</summary>
    /// <param name="silent">The host that can say nothing after the fault, if it is of that kind.</param>
    /// <param name="settled">Look for the longest silence until then, and not for the one right at the fault.</param>
    internal async Task<RoundResult> EndAsync(StruckFault struck, SilencingFault? silent = null, long? settled = null)
    {
        await _lab.WholeAsync(_recording);
        await AnsweredAsync();
        var after = await _lab.Vm.ShowAsync();
        var client = await _load.FinishAsync(Patience);
        var frames = await _recording.StopAsync();
        var verdict = SwitchJudge.Judge(_lab.VmMac, frames, silent);
        var outage = settled is { } end ? _load.Log.LongestGapBetween(struck.StopwatchTicks, end) : _load.Log.OutageAt(struck.StopwatchTicks, struck.Grace);
        var (primary, now) = (_before.Role!.Primary.Host, after.Role!.Primary.Host);
        return new RoundResult(
            primary, now, after.Role.Term - _before.Role.Term, outage is { } gap ? (gap.ToTicks - struck.StopwatchTicks) * 1000.0 / Stopwatch.Frequency : null,
            primary != now ? after.KeeperOn(now)?.LastTakeover : null, client, verdict, frames);
    }

    public async ValueTask DisposeAsync()
    {
        await _load.DisposeAsync();
        await _recording.DisposeAsync();
    }

    private static long Ticks(TimeSpan span) => (long)(span.TotalSeconds * Stopwatch.Frequency);
}
