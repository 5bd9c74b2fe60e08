using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Linux.Namespaces;

namespace Pollux.Lab.Tests.Labs;

[Collection(BareLabTests.Name)]
public sealed class RecordingTests(BareLab lab)
{
    private static readonly PhysicalAddress ClientMac = PhysicalAddress.Parse("02-78-00-00-00-FA");

    /// <summary>The switch floods a broadcast to every port; only the port that it came in by counts as its sender.</summary>
    [Fact]
    public async Task Recording_OfAFloodedFrame_NamesOnlyTheHostThatSentIt()
    {
        await using var recording = await SwitchRecording.StartAsync(lab.Cluster);
        using var socket = NetworkNamespace.OpenSocket(lab.Cluster.Name.ClientNamespace, AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        // The client's kernel asks everybody by ARP for an address that nobody has.
        await socket.SendToAsync(new byte[1], new IPEndPoint(IPAddress.Parse("10.78.0.99"), 9));
        await Polling.UntilAsync(() => recording.FramesSoFar().Count > 0, TimeSpan.FromSeconds(10), () => "nothing was recorded");

        var verdict = SwitchJudge.Judge(ClientMac, await recording.StopAsync());

        Assert.Equal([SwitchRecording.Client], verdict.Senders);
    }
}
