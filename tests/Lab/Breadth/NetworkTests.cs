using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Text.RegularExpressions;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Load;
using Pollux.Lab.Network;
using Pollux.Lab.Torture;
using Pollux.Qemu.Spec;
using Xunit.Abstractions;

namespace Pollux.Lab.Tests.Breadth;

/// <summary>
/// A guest with all kinds of network at once: two NICs, IPv6, a second MAC address behind a NIC, a VLAN; TCP, UDP and ICMP. Its host
/// freezes, so that no port goes down and the switches must be told of each of its addresses.
/// </summary>
[Collection(BreadthTests.Name)]
public sealed class NetworkTests(BreadthLab breadth, ITestOutputHelper output)
{
    private const string SecondMac = "52:54:00:81:00:01";
    private const string InnerMac = "02:80:00:00:00:10";
    private const int Pings = 200;
    private const int PingEveryMs = 100;

    /// <summary>Echoes may be lost as on any network, and those that the last epoch before the freeze held are.</summary>
    private const int LostMost = 5;
    private const int AnsweredAfterLeast = 10;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly IPEndPoint[] Servers =
        [IPEndPoint.Parse("10.78.0.10:6379"), IPEndPoint.Parse("[fd78::10]:6379"), IPEndPoint.Parse("10.81.0.10:6379"), IPEndPoint.Parse("10.80.0.10:6379")];

    [Fact]
    public Task Frames_OfEveryKind_AreHeldAndGoOnAfterATakeover() => breadth.WithAsync(Spec(), async lab =>
    {
        (await lab.Cluster.ExecAsync("client", ["sh", "-ec", """
            echo 0 > /proc/sys/net/ipv6/conf/lan/disable_ipv6
            ip -6 address replace fd78::fa/64 dev lan nodad
            ip address replace 10.80.0.250/24 dev lan
            ip address replace 10.81.0.250/24 dev lan
            """])).Checked("giving the client its addresses");
        var before = await lab.WholeAsync();
        var first = (ulong)(await BeaconMemory.ReadAsync(lab.Cluster.OpenClientSocket, TortureLab.Beacon, 0, Patience)).Count;
        await using var recording = await SwitchRecording.StartAsync(lab.Cluster);
        await using var load = await lab.LoadAsync(1);
        var registers = Servers.Select((server, i) => RegisterLoad.Start(() => lab.Cluster.OpenClientSocketTo(server), server, (ulong)(10 + i))).ToList();
        await Polling.UntilAsync(() => load.Log.Count > 0, Patience, () => "no load");
        var ping = lab.Cluster.ExecAsync("client", ["busybox", "ping", "-i", "0.1", "-c", $"{Pings}", TortureLab.Redis.Address.ToString()]);
        await Polling.UntilAsync(() => load.Log.Count > 100, Patience, () => "no load");

        double frozenAt;
        using (var freeze = lab.Cluster.Prepare(new LabFault.Freeze(before.Role!.Primary.Host.Value)))
        {
            var struck = freeze.Strike();
            frozenAt = struck.UnixMs;
            Assert.True(await load.IsAnsweredAfterAsync(struck.StopwatchTicks + Stopwatch.Frequency / 50, Patience), "no answer");
        }
        var goal = load.Log.Count + 200;
        await Polling.UntilAsync(() => load.Log.Count > goal, Patience, () => "the load stopped");
        using (var thaw = lab.Cluster.Prepare(new LabFault.Thaw(before.Role.Primary.Host.Value)))
        {
            thaw.Strike();
        }
        await lab.WholeAsync();

        foreach (var (report, server) in (await Task.WhenAll(registers.Select(r => r.FinishAsync(Patience)))).Zip(Servers))
        {
            output.WriteLine($"{server}: {report.Operations} operations {report.Complaint}");
            Assert.True(report.IsClean, $"{server}: {report.Complaint} {string.Join(' ', report.Torn)}");
            Assert.True(report.Operations > 100, $"{server}: {report.Operations} operations");
        }
        var echoes = (await ping.WaitAsync(Patience)).Checked("ping").Output;
        output.WriteLine(echoes[echoes.IndexOf("---", StringComparison.Ordinal)..]);
        var client = await load.FinishAsync(Patience);
        Assert.True(client.IsClean, $"{client}");

        var frames = await recording.StopAsync();
        foreach (var mac in new[] { lab.VmMac, PhysicalAddress.Parse(SecondMac), PhysicalAddress.Parse(InnerMac) })
        {
            var verdict = SwitchJudge.Judge(mac, frames);
            Assert.Empty(verdict.Complaints);
            Assert.Equal(2, verdict.Senders.Count);
        }
        JudgeEchoes(echoes, frames, lab.VmMac, before.Role.Primary.Host.Value, frozenAt);
        var memory = await BeaconMemory.ReadAsync(lab.Cluster.OpenClientSocket, TortureLab.Beacon, first, Patience);
        var beacon = BeaconJudge.Judge(lab.VmMac, frames, first, memory);
        Assert.Empty(beacon.Complaints);
        Assert.True(beacon.Heard > 50, $"{beacon.Heard} beacons in the VLAN");
        foreach (var r in registers)
        {
            await r.DisposeAsync();
        }
    });

    /// <summary>Only while nobody ran the guest are its echoes missing: from the freeze until the other host speaks for it, and two pings more.</summary>
    private void JudgeEchoes(string echoes, IReadOnlyList<SwitchFrame> frames, PhysicalAddress vm, string frozen, double frozenAt)
    {
        var back = frames.First(f => f.UnixMs > frozenAt && f.IsFrom(vm) && f.Host != frozen).UnixMs + (2 * PingEveryMs);
        var answered = Regex.Matches(echoes, @" seq=(\d+) ").Select(m => int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture)).ToHashSet();
        var asked = frames.Where(f => f.Host == SwitchRecording.Client).Select(f => (f.UnixMs, Sequence: EchoRequest(f))).Where(f => f.Sequence is not null).ToList();
        // One that the client could not even send, for want of an answer to ARP, follows one that it could.
        double AskedAt(int sequence) => asked.LastOrDefault(a => a.Sequence <= sequence).UnixMs;

        var lost = Enumerable.Range(0, Pings).Where(s => !answered.Contains(s) && (AskedAt(s) < frozenAt || AskedAt(s) > back)).ToList();
        var answeredAfter = asked.Count(a => a.UnixMs > back && answered.Contains(a.Sequence!.Value));
        output.WriteLine($"lost outside of the outage: {string.Join(' ', lost)}; answered after it: {answeredAfter}");
        Assert.True(lost.Count <= LostMost, $"{lost.Count} echoes lost outside of the outage");
        Assert.True(answeredAfter >= AnsweredAfterLeast, $"{answeredAfter} echoes after the outage");
    }

    /// <summary>The number of an ICMP echo request (RFC 792); null: it is none.</summary>
    private static int? EchoRequest(SwitchFrame frame)
    {
        const byte icmp = 1;
        const byte request = 8;
        return IpPacket.TryParse(frame.Bytes) is { Protocol: icmp, Payload.Length: >= 8 } ip && ip.Payload.Span[0] == request
            ? BinaryPrimitives.ReadUInt16BigEndian(ip.Payload.Span[6..])
            : null;
    }

    /// <summary>
    /// The beacon speaks in the VLAN: this kernel may know none for the client, the recording reads them all the same. The freeze is the
    /// only takeover, also on a machine that stutters.
    /// </summary>
    private VmSpec Spec() => breadth.Redis with
    {
        Nics = [.. breadth.Redis.Nics, new NicSpec("br0", SecondMac, "virtio-net-pci")],
        FaultTolerance = breadth.Redis.FaultTolerance with { DetectionMs = 2000 },
        CommandLine = $"{breadth.Redis.CommandLine} pollux.ip6=fd78::10/64 pollux.ip1=10.81.0.10/24 pollux.macvlan=10.80.0.10/24 pollux.vlan=5:10.79.0.10/24 pollux.beacon=10.79.0.255:7000:10",
    };
}
