using System.Net;
using System.Net.Sockets;
using Pollux.Core;

namespace Pollux.Lab.Load;

/// <summary>Asks a program in the guest over a TCP connection, which is over on both sides when the answer is given.</summary>
internal static class GuestProgram
{
    /// <param name="openSocket">A TCP socket in the network of the client.</param>
    /// <param name="name">For the error: which program.</param>
    /// <param name="ask">Writes the question and reads the answer.</param>
    /// <exception cref="PolluxException">The program does not answer within <paramref name="patience"/>.</exception>
    public static async Task<T> AskAsync<T>(
        Func<Socket> openSocket, IPEndPoint program, string name, TimeSpan patience, Func<NetworkStream, CancellationToken, Task<T>> ask, CancellationToken cancellation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(patience);
        try
        {
            using var socket = openSocket();
            await socket.ConnectAsync(program, deadline.Token).ConfigureAwait(false);
            await using var stream = new NetworkStream(socket);
            var answer = await ask(stream, deadline.Token).ConfigureAwait(false);
            // Until the guest has closed it too: a recording that begins now hears nothing of this connection any more.
            socket.Shutdown(SocketShutdown.Send);
            while (await stream.ReadAsync(new byte[1], deadline.Token).ConfigureAwait(false) > 0)
            {
            }
            return answer;
        }
        catch (Exception e) when (e is IOException or SocketException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new PolluxException($"the guest's {name} program at {program} does not answer: {e.Message}", "see the guest's console", e);
        }
    }
}
