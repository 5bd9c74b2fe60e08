using System.Net;
using System.Net.Sockets;
using Pollux.Replication.Link;

namespace Pollux.Unit.Tests.Replication.Link;

/// <summary>Heartbeats over a connection of this machine.</summary>
public sealed class HeartbeatLinkTests
{
    private const int SmallestBytes = 1;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>A frozen host's kernel takes bytes until its buffers are full. Whoever waits there to write would judge nothing any more, and think that it was late itself.</summary>
    [Fact]
    public async Task Judge_OfASideThatTakesNothingMore_GoesOnJudging()
    {
        const int detectionMs = 3000;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Server.ReceiveBufferSize = SmallestBytes;
        listener.Start();
        using var client = new TcpClient(AddressFamily.InterNetwork) { NoDelay = true, SendBufferSize = SmallestBytes };
        client.Connect((IPEndPoint)listener.LocalEndpoint);
        using var silent = listener.AcceptTcpClient();
        var said = new TaskCompletionSource<double>(TaskCreationOptions.RunContinuationsAsynchronously);

        using var link = new HeartbeatLink(new FrameStream(client.GetStream(), client.Client), "test", 1, detectionMs, verdict =>
        {
            if (verdict.SilentMs is { } silence)
            {
                said.TrySetResult(silence);
            }
        });
        link.Start();

        Assert.True(await said.Task.WaitAsync(Patience) >= detectionMs);
        Assert.False(client.Client.Poll(TimeSpan.Zero, SelectMode.SelectWrite), "the buffers were never full: this test shows nothing");
    }
}
