using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Vms;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>The link or the standby takes less than the guest writes, or the link loses some of it.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class PoorWireRoundTests(ProtectedLab lab, ITestOutputHelper output)
{
    private const int SlowMbit = 50;
    private const int VerySlowMbit = 5;

    /// <summary>A keeper with its code, its heap and its threads, without the buffers.</summary>
    private const long KeeperBytes = 128L << 20;

    private static readonly TimeSpan StandsFor = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan RunsFor = TimeSpan.FromMilliseconds(10);
    private static readonly ProtectionSettings AsItIs = new(Compression: "never");
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task SlowLink_SlowsTheGuestAndKeepsMemoryBounded()
    {
        await lab.RoundAsync("slow link", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            await lab.Vm.SetAsync(AsItIs); // what the flood writes repeats itself
            var struck = await lab.Cluster.Wires.SlowAsync(round.Primary, round.Standby, SlowMbit);
            await using var flood = WriteFlood.Start(lab);
            var peak = await WatchAsync(round, flood);

            await lab.Cluster.Wires.HealAsync();
            await round.AnsweredAsync();
            // The buffers shrink after eight quiet periods of sixteen checkpoints each: more checkpoints, sooner.
            await lab.Vm.SetAsync(new ProtectionSettings(IntervalMs: 20));
            await lab.Vm.UntilAsync(v => v.KeeperOn(v.Host)!.Buffers.AllocatedBytes < peak.AllocatedBytes, "done with its large buffers", Patience);
            await lab.Vm.SetAsync(new ProtectionSettings(IntervalMs: 100, Compression: "auto"));
            return await round.EndAsync(struck);
        });
    }

    /// <summary>The switch's queue is longer than the detection time, and heartbeats go before it.</summary>
    [Fact]
    [Trait("Suite", "long")]
    public async Task VerySlowLink_SlowsTheGuest_AndNobodyIsTakenForDead()
    {
        await lab.RoundAsync($"{VerySlowMbit} Mbit/s", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var before = await lab.Vm.ShowAsync();
            await lab.Vm.SetAsync(AsItIs);
            var struck = await lab.Cluster.Wires.SlowAsync(round.Primary, round.Standby, VerySlowMbit);
            await using var flood = WriteFlood.Start(lab);
            await Polling.UntilAsync(async c => flood.Rounds >= 1 && Primary(await lab.Vm.ShowAsync(c)).Buffers.WaitedForSpace >= 1, 2 * Patience, () => "the link is too slow for one round of writing");
            await flood.StopAsync();

            await lab.Cluster.Wires.HealAsync();
            await round.AnsweredAsync();
            Assert.Equal(before.Role, (await lab.Vm.ShowAsync()).Role);
            await lab.Vm.SetAsync(new ProtectionSettings(Compression: "auto"));
            return await round.EndAsync(struck);
        });
    }

    /// <summary>Everything compressed, and the primary's host loses its power in the middle of it: what is judged is the guest on the image that was made of it.</summary>
    [Fact]
    [Trait("Suite", "long")]
    public async Task SlowLinkCompressed_TakeoverLosesNothing()
    {
        await lab.RoundAsync("power-off over a slow link, compressed", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            await lab.Vm.SetAsync(new ProtectionSettings(Compression: "always"));
            await lab.Cluster.Wires.SlowAsync(round.Primary, round.Standby, SlowMbit);
            await using var flood = WriteFlood.Start(lab);
            await Polling.UntilAsync(() => flood.Rounds >= 3, Patience, () => $"{flood.Rounds} rounds of writing");
            await round.AnsweredAsync(20);
            var link = Primary(await lab.Vm.ShowAsync()).Shipping!.Link!;
            output.WriteLine($"{link.CompressedMemoryFrames} of {link.MemoryFrames} frames of memory compressed, {link.SentBytes} bytes sent for {link.Bytes}");
            Assert.True(link.SentBytes < link.Bytes / 2, "the flood is compressed");
            await flood.StopAsync();
            var struck = round.Strike(new LabFault.PowerOff(round.Primary));
            var silent = await lab.DeadAsync(struck);
            await round.AnsweredSinceAsync(struck, "power-off");
            await lab.Vm.SetAsync(new ProtectionSettings(Compression: "auto"));
            var result = await round.EndAsync(struck, silent);
            Assert.True(result.IsTakeover);
            return result;
        });
    }

    /// <summary>A host that gets a twentieth of its processors' time, in slices: as a crowded one does, or a virtual one whose own host is. Detection is set for such.</summary>
    [Fact]
    public async Task SlowStandby_SlowsTheGuest_AndNobodyIsTakenForDead()
    {
        await lab.RoundAsync("standby at a twentieth of its speed", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            await lab.Vm.SetAsync(AsItIs with { DetectionMs = 2000 });
            var before = await lab.Vm.ShowAsync();
            var struck = Round.Now("slow standby", round.HostOf(Side.Standby));
            await using var flood = WriteFlood.Start(lab);
            await using (var stutter = Stutter.Start(lab.Cluster, round.Standby, StandsFor, RunsFor))
            {
                var waited = Primary(before).Buffers.WaitedForSpace;
                await Polling.UntilAsync(async c =>
                {
                    var seen = await lab.Vm.ShowAsync(c);
                    seen.Keepers.Select(k => k.Status).OfType<KeeperStatus>().ToList().ForEach(CheckMemory);
                    return flood.Rounds >= 10 && Primary(seen).Buffers.WaitedForSpace > waited;
                }, Patience, () => $"{flood.Rounds} rounds of writing");
                await round.AnsweredAsync(20);
                await flood.StopAsync();
                output.WriteLine($"the standby stood for {stutter.Longest.TotalMilliseconds:0} ms at most");
            }
            await round.AnsweredAsync();
            Assert.Equal(before.Role, (await lab.Vm.ShowAsync()).Role);
            await lab.Vm.SetAsync(new ProtectionSettings(DetectionMs: 150, Compression: "auto"));
            return await round.EndAsync(struck);
        });
    }

    [Fact]
    [Trait("Suite", "long")]
    public async Task LossyLink_LosesNothing()
    {
        await lab.RoundAsync("5 % of the frames lost", output, async () =>
        {
            await using var round = await Round.BeginAsync(lab, 1);
            var struck = await lab.Cluster.Wires.LoseAsync(round.Primary, round.Standby, 5);
            for (var i = 0; i < 5; i++)
            {
                await round.AnsweredAsync();
            }
            return await round.EndAsync(struck);
        });
    }

    /// <summary>Lets it write through the slow link, and looks at the memory all the while. Returns the buffers at their largest.</summary>
    private async Task<BufferStatus> WatchAsync(Round round, WriteFlood flood)
    {
        const int rounds = 4;
        var most = new BufferStatus(0, 0, 0, 0);
        await Polling.UntilAsync(async c =>
        {
            var seen = await lab.Vm.ShowAsync(c);
            foreach (var keeper in seen.Keepers.Select(k => k.Status).OfType<KeeperStatus>())
            {
                CheckMemory(keeper);
            }
            var buffers = Primary(seen).Buffers;
            most = buffers.AllocatedBytes > most.AllocatedBytes ? buffers : most;
            return buffers.WaitedForSpace >= rounds && flood.Rounds >= rounds;
        }, Patience, () => $"the link is too slow, or not slow enough: {flood.Rounds} rounds of writing, the buffers at their most: {most}");
        output.WriteLine($"{flood.Rounds} rounds of writing, {most}");
        await round.AnsweredAsync(10);
        await flood.StopAsync();
        return most;
    }

    /// <summary>The buffers, by the keeper's own count, and the whole keeper, by the kernel's: the guest's RAM is a file and is not counted.</summary>
    private void CheckMemory(KeeperStatus keeper)
    {
        var buffers = keeper.Buffers;
        Assert.InRange(buffers.AllocatedBytes, buffers.UsedBytes, buffers.CeilingBytes);
        foreach (var process in lab.Cluster[keeper.Host.Value].FindKeepers(lab.Vm.Name))
        {
            var anonymous = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal));
            var bytes = long.Parse(anonymous.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) << 10;
            Assert.True(bytes < buffers.CeilingBytes + KeeperBytes, $"the keeper on {keeper.Host} has {bytes >> 20} MiB, its buffers {buffers.AllocatedBytes >> 20}");
        }
    }

    private static KeeperStatus Primary(VmDocument seen) =>
        seen.KeeperOn(seen.Host) ?? throw new PolluxException($"the keeper on {seen.Host} does not answer");
}
