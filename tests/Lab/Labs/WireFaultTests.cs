using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Network;
using Pollux.Linux.Namespaces;

namespace Pollux.Lab.Tests.Labs;

/// <summary>What is wrong with a wire, judged by what passes between two machines of the lab.</summary>
[Collection(BareLabTests.Name)]
public sealed class WireFaultTests(BareLab lab) : IAsyncLifetime
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private LabCluster Cluster => lab.Cluster;

    public Task InitializeAsync() => Cluster.Wires.HealAsync();

    public async Task DisposeAsync()
    {
        await Cluster.Wires.HealAsync();
        await EveryEtcdAnswersAsync();
    }

    [Fact]
    public async Task Cut_BothWays_DropsInSilenceAndOnlyThere()
    {
        await Cluster.Wires.CutAsync("h1", "h2");

        Assert.Empty(await ArrivedAsync("h1", "h2", 50));
        Assert.Empty(await ArrivedAsync("h2", "h1", 50));
        Assert.Equal(50, (await ArrivedAsync("h1", "w", 50)).Count);
        Assert.Equal(50, (await LanArrivedAsync("h1", "h2", 50)).Count);
    }

    [Fact]
    public async Task Cut_OneWay_LetsTheOtherWayPass()
    {
        await Cluster.Wires.CutAsync("h1", "h2", oneWay: true);

        Assert.Empty(await ArrivedAsync("h1", "h2", 50));
        Assert.Equal(50, (await ArrivedAsync("h2", "h1", 50)).Count);
    }

    /// <summary>What a broken wire does to TCP: nobody says goodbye, and what was sent arrives when it is mended.</summary>
    [Fact]
    public async Task Cut_OfAConnection_IsSilenceUntilItHeals()
    {
        using var listener = Listen("h2");
        using var sender = Open("h1");
        await sender.ConnectAsync((IPEndPoint)listener.LocalEndPoint!).WaitAsync(Deadline);
        using var receiver = await listener.AcceptAsync().WaitAsync(Deadline);

        await Cluster.Wires.CutAsync("h1", "h2");
        var arrival = receiver.ReceiveAsync(new byte[8], SocketFlags.None);
        await sender.SendAsync(new byte[8], SocketFlags.None);
        // etcd's own words between the two would have arrived meanwhile.
        await Polling.UntilAsync(async c => (await DroppedAsync("h1", "h2", c)) > 3, Deadline, () => "the switch drops nothing");
        Assert.False(arrival.IsCompleted);
        Assert.False(sender.Poll(0, SelectMode.SelectRead));

        await Cluster.Wires.HealAsync("h1", "h2");
        Assert.Equal(8, await arrival.WaitAsync(Deadline));
    }

    [Fact]
    public async Task Slow_TwoMachines_PassesNoMoreThanThat()
    {
        const int mbit = 40;
        const int bytes = 2_000_000;
        await Cluster.Wires.SlowAsync("h1", "h2", mbit);

        var slow = await TransferAsync("h1", "h2", bytes);

        // 0.4 s of wire at the least, but for what the burst lets through. A busy machine makes it longer, none makes it shorter.
        var least = TimeSpan.FromSeconds(0.9 * bytes * 8 / (mbit * 1e6));
        Assert.True(slow >= least, $"{bytes} bytes took {slow.TotalMilliseconds:0} ms at {mbit} Mbit/s");
        await QuickerAsync("w");
        await Cluster.Wires.HealAsync("h1", "h2");
        await QuickerAsync("h2");

        Task QuickerAsync(string to) => Polling.UntilAsync(async _ => await TransferAsync("h1", to, bytes) < least, Deadline, () => $"h1 to {to} is slow");
    }

    [Fact]
    public async Task Loss_OfSomePercent_LosesAboutSoMany()
    {
        const int sent = 4000;
        await Cluster.Wires.LoseAsync("h1", "h2", 10);

        var there = await ArrivedAsync("h1", "h2", sent);
        var back = await ArrivedAsync("h2", "h1", sent);

        // 400 of 4000 with a deviation of 19: ten deviations either way.
        Assert.InRange(sent - there.Count, 210, 590);
        Assert.InRange(sent - back.Count, 210, 590);
        Assert.Equal(200, (await ArrivedAsync("h1", "w", 200)).Count);
    }

    [Fact]
    public async Task Faults_AreShownMayBeRepeatedAndOutlivePowerOff()
    {
        await Cluster.Wires.CutAsync("h1", "h2", oneWay: true);
        await Cluster.Wires.CutAsync("h1", "h2", oneWay: true);
        await Cluster.Wires.SlowAsync("h1", "h2", 50);
        await Cluster.Wires.SlowAsync("h1", "h2", 20);
        await Cluster.Wires.LoseAsync("w", "h2", 2.5);
        HostId h1 = new("h1"), h2 = new("h2"), w = new("w");
        WireFault[] expected = [new(h1, h2, true, 20), new(h2, h1, false, 20), new(w, h2, false, null, 2.5), new(h2, w, false, null, 2.5)];
        Assert.Equal(expected, await Cluster.Wires.ReadAsync());

        using (var off = Cluster.Prepare(new LabFault.PowerOff("h2")))
        {
            off.Strike();
        }
        await Cluster.PowerOnAsync("h2");

        Assert.Equal(["cut to h2", "20 Mbit/s to h2"], (await Cluster.StatusAsync()).Single(s => s.Host == h1).Faults);
        Assert.Empty(await ArrivedAsync("h1", "h2", 20));
        await Cluster.Wires.HealAsync("w", "h2");
        Assert.Equal(expected[..2], await Cluster.Wires.ReadAsync());
        await Cluster.Wires.CutAsync("h1", "w");
        // A cut ends, the slowness of the new port is there.
        await Cluster.Wires.HealAsync();
        await Cluster.Wires.SlowAsync("h1", "h2", 20);
        Assert.True(await TransferAsync("h1", "h2", 1_000_000) > TimeSpan.FromSeconds(0.3));
    }

    [Theory]
    [InlineData("h1", "h1", "no wire to itself")]
    [InlineData("h1", "h9", "no host 'h9'")]
    public async Task Cut_OfAWireThatIsNot_IsRefused(string a, string b, string why)
    {
        var refusal = await Assert.ThrowsAsync<PolluxException>(() => Cluster.Wires.CutAsync(a, b));
        Assert.Contains(why, refusal.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EtcdDown_OfAMember_KeepsItDownUntilUp()
    {
        Strike(new LabFault.EtcdDown("h1"));
        Strike(new LabFault.EtcdDown("h1"));
        await Polling.UntilAsync(async c => (await Cluster.StatusAsync(c)) is [{ Etcd: false, Faults: ["etcd is down"] }, { Etcd: true }, { Etcd: true }],
            Deadline, () => "the other two are no majority");

        // The host starts anew, its etcd does not.
        Strike(new LabFault.PowerOff("h1"));
        await Cluster.PowerOnAsync("h1");
        Assert.False((await Cluster.StatusAsync())[0].Etcd);

        Strike(new LabFault.EtcdUp("h1"));
        Strike(new LabFault.EtcdUp("h1"));
        await EveryEtcdAnswersAsync();
    }

    [Fact]
    public async Task EtcdDown_OfTwoOfThree_LeavesNoMajority()
    {
        Strike(new LabFault.EtcdDown("h1"));
        Strike(new LabFault.EtcdDown("w"));
        try
        {
            await Polling.UntilAsync(async c => (await Cluster.StatusAsync(c)).All(s => s.Etcd == false), Deadline, () => "an etcd still answers");
            await Cluster.PowerOnAsync("h2");
        }
        finally
        {
            Strike(new LabFault.EtcdUp("h1"));
            Strike(new LabFault.EtcdUp("w"));
        }
        await EveryEtcdAnswersAsync();
    }

    private void Strike(LabFault fault)
    {
        using var prepared = Cluster.Prepare(fault);
        prepared.Strike();
    }

    private Task EveryEtcdAnswersAsync() =>
        Polling.UntilAsync(async c => (await Cluster.StatusAsync(c)).All(s => s.Etcd == true), Deadline, () => "not every etcd answers");

    /// <summary>Which of so many numbered datagrams arrive.</summary>
    private async Task<IReadOnlyCollection<int>> ArrivedAsync(string from, string to, int count) =>
        await ArrivedAsync(Open(from, SocketType.Dgram), Open(to, SocketType.Dgram), Cluster[to].Member.Address, count);

    /// <summary>The hosts' addresses on the guests' network exist for the test only.</summary>
    private async Task<IReadOnlyCollection<int>> LanArrivedAsync(string from, string to, int count)
    {
        foreach (var host in new[] { from, to })
        {
            await Tool.IpAsync(Namespace(host), $"address replace 10.78.0.{200 + Cluster[host].Member.Index}/24 dev br0");
        }
        try
        {
            return await ArrivedAsync(Open(from, SocketType.Dgram), Open(to, SocketType.Dgram), IPAddress.Parse($"10.78.0.{200 + Cluster[to].Member.Index}"), count);
        }
        finally
        {
            foreach (var host in new[] { from, to })
            {
                await Tool.IpAsync(Namespace(host), $"address del 10.78.0.{200 + Cluster[host].Member.Index}/24 dev br0");
            }
        }
    }

    private static async Task<IReadOnlyCollection<int>> ArrivedAsync(Socket sender, Socket receiver, IPAddress address, int count)
    {
        using var _ = sender;
        using var __ = receiver;
        receiver.ReceiveBufferSize = 1 << 22;
        receiver.Bind(new IPEndPoint(address, 0));
        var server = (IPEndPoint)receiver.LocalEndPoint!;
        var arrived = new HashSet<int>();
        var datagram = new byte[4];
        for (var n = 0; n < count; n++)
        {
            BitConverter.TryWriteBytes(datagram, n);
            await sender.SendToAsync(datagram, server);
            while (receiver.Poll(0, SelectMode.SelectRead))
            {
                receiver.Receive(datagram);
                arrived.Add(BitConverter.ToInt32(datagram));
            }
        }
        // Between two namespaces of one kernel a datagram arrives within microseconds, unless ARP must ask first.
        while (receiver.Poll(TimeSpan.FromMilliseconds(200), SelectMode.SelectRead))
        {
            receiver.Receive(datagram);
            arrived.Add(BitConverter.ToInt32(datagram));
        }
        return arrived;
    }

    /// <summary>How long a connection takes to carry so many bytes, connecting not counted.</summary>
    private async Task<TimeSpan> TransferAsync(string from, string to, int bytes)
    {
        using var listener = Listen(to);
        using var sender = Open(from);
        await sender.ConnectAsync((IPEndPoint)listener.LocalEndPoint!).WaitAsync(Deadline);
        using var receiver = await listener.AcceptAsync().WaitAsync(Deadline);
        var begin = Stopwatch.GetTimestamp();
        var sending = sender.SendAsync(new byte[bytes], SocketFlags.None);
        var buffer = new byte[64 << 10];
        for (var received = 0; received < bytes;)
        {
            received += await receiver.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Deadline);
        }
        await sending;
        return Stopwatch.GetElapsedTime(begin);
    }

    /// <summary>How many frames from one machine to another the switch has dropped for a cut.</summary>
    private async Task<long> DroppedAsync(string from, string to, CancellationToken cancellation)
    {
        var listed = (await Tool.RunAsync("ip", ["netns", "exec", Cluster.Name.SwitchNamespace, "nft", "list", "table", "bridge", "faults"], null, cancellation)).Checked("nft");
        var words = listed.Output.Split('\n').Single(l => l.Contains($"\"{from} {to} cut", StringComparison.Ordinal)).Split(' ');
        return long.Parse(words[Array.IndexOf(words, "packets") + 1], CultureInfo.InvariantCulture);
    }

    private Socket Listen(string host)
    {
        var listener = Open(host);
        listener.Bind(new IPEndPoint(Cluster[host].Member.Address, 0));
        listener.Listen(1);
        return listener;
    }

    private Socket Open(string host, SocketType type = SocketType.Stream) => NetworkNamespace.OpenSocket(
        Namespace(host), AddressFamily.InterNetwork, type, type == SocketType.Dgram ? ProtocolType.Udp : ProtocolType.Tcp);

    private string Namespace(string host) => Cluster.Name.NamespaceOf(Cluster[host].Member);
}
