using System.Net.Sockets;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Health;

/// <summary>Asks whether a host's agent takes requests on its socket.</summary>
internal static class AgentProbe
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    internal static async Task<bool> AnswersAsync(LabHost host, CancellationToken cancellation)
    {
        if (host.Power != HostPower.On)
        {
            return false;
        }
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, cancel) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(host.AgentSocket), cancel).ConfigureAwait(false);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        using var client = new HttpClient(handler) { Timeout = Deadline };
        try
        {
            // Any answer will do: it serves.
            using var answer = await client.GetAsync(new Uri("http://agent/"), cancellation).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or Core.PolluxException
            || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }
}
