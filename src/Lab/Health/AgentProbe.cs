using System.Net.Sockets;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Health;

/// <summary>Asks whether a host's agent takes requests on its socket.</summary>
internal static class AgentProbe
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    /// <summary>It serves: any answer will do.</summary>
    internal static async Task<bool> AnswersAsync(LabHost host, CancellationToken cancellation) => await AskAsync(host, cancellation).ConfigureAwait(false) is not null;

    /// <summary>The host's lease is alive.</summary>
    internal static async Task<bool> IsAliveAsync(LabHost host, CancellationToken cancellation) =>
        await AskAsync(host, cancellation).ConfigureAwait(false) == System.Net.HttpStatusCode.OK;

    private static async Task<System.Net.HttpStatusCode?> AskAsync(LabHost host, CancellationToken cancellation)
    {
        if (host.Power != HostPower.On)
        {
            return null;
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
            using var answer = await client.GetAsync(new Uri("http://agent/v1/health"), cancellation).ConfigureAwait(false);
            return answer.StatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or Core.PolluxException
            || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return null;
        }
    }
}
