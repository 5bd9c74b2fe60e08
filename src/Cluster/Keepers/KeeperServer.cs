using System.Net.Sockets;
using System.Text.Json;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Cluster.Keepers;

/// <summary>
/// A keeper's control socket, for root only (0600). Each connection carries requests in turn; several connections are served
/// at once, up to a limit. Text that is no request gets one error line and the connection is closed.
/// </summary>
public sealed class KeeperServer : IAsyncDisposable
{
    private const int ConnectionsMax = 32;
    private const int RequestBytesMax = 64 << 10;

    private static readonly TimeSpan RetryAccept = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(10);

    private readonly string socketPath;
    private readonly Func<KeeperRequest, CancellationToken, Task<KeeperResponse>> handler;
    private readonly CancellationTokenSource closing = new();
    private readonly SemaphoreSlim places = new(ConnectionsMax);
    private readonly Socket listener;
    private readonly List<Task> connections = [];
    private readonly Task accepting;
    private int answering;

    private KeeperServer(string socketPath, Socket listener, Func<KeeperRequest, CancellationToken, Task<KeeperResponse>> handler)
    {
        (this.socketPath, this.listener, this.handler) = (socketPath, listener, handler);
        accepting = AcceptAsync();
    }

    /// <summary>
    /// Listens at once. <paramref name="handler"/> answers a request; a <see cref="PolluxException"/> of it becomes the answer's error.
    /// The caller holds the run directory's lock, so a socket file that is there is left over and replaced.
    /// </summary>
    public static KeeperServer Listen(string socketPath, Func<KeeperRequest, CancellationToken, Task<KeeperResponse>> handler)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            File.Delete(socketPath);
            listener.Bind(new UnixDomainSocketEndPoint(socketPath));
            // Nobody can connect before Listen, so there is no moment at which others could.
            File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(ConnectionsMax);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            listener.Dispose();
            throw new PolluxException($"cannot listen on {socketPath}: {e.Message}", "check the run directory and the length of its path (80 bytes at most)", e);
        }

        return new KeeperServer(socketPath, listener, handler);
    }

    /// <summary>Returns once the requests under way have their answers, or after a while.</summary>
    public async Task AnsweredAsync(TimeSpan within)
    {
        for (var waited = TimeSpan.Zero; waited < within && Volatile.Read(ref answering) > 0; waited += LookAgain)
        {
            await Task.Delay(LookAgain).ConfigureAwait(false);
        }
    }

    /// <summary>Ends all connections; requests under way are cancelled.</summary>
    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync().ConfigureAwait(false);
        listener.Dispose();
        await accepting.ConfigureAwait(false);
        File.Delete(socketPath);
        closing.Dispose();
        places.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!closing.IsCancellationRequested)
        {
            try
            {
                await places.WaitAsync(closing.Token).ConfigureAwait(false);
                try
                {
                    connections.Add(ServeAsync(await listener.AcceptAsync(closing.Token).ConfigureAwait(false)));
                }
                catch
                {
                    places.Release();
                    throw;
                }

                connections.RemoveAll(c => c.IsCompleted);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                break;
            }
            catch (SocketException) when (!closing.IsCancellationRequested)
            {
                // A connection that was aborted before it was accepted, or no descriptor left: the VM must not suffer for it.
                await Task.Delay(RetryAccept, CancellationToken.None).ConfigureAwait(false);
            }
        }

        await Task.WhenAll(connections).ConfigureAwait(false);
    }

    private async Task ServeAsync(Socket socket)
    {
        using var stream = new NetworkStream(socket, ownsSocket: true);
        try
        {
            var reader = new LineReader(stream, RequestBytesMax);
            while (await ReadAsync(reader).ConfigureAwait(false) is { } read)
            {
                Interlocked.Increment(ref answering);
                try
                {
                    var response = read.Request is null ? new KeeperResponse(read.Error, null) : await AnswerAsync(read.Request).ConfigureAwait(false);
                    byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(response, KeeperJson.Default.KeeperResponse), (byte)'\n'];
                    await stream.WriteAsync(line, closing.Token).ConfigureAwait(false);
                }
                finally
                {
                    Interlocked.Decrement(ref answering);
                }
                if (read.Request is null)
                {
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The other end went away, or the server closes.
        }
        finally
        {
            places.Release();
        }
    }

    /// <summary>A request, or why the line is none; null at the end of the connection.</summary>
    private async Task<(KeeperRequest? Request, string? Error)?> ReadAsync(LineReader reader)
    {
        try
        {
            var line = await reader.ReadAsync(closing.Token).ConfigureAwait(false);
            if (line is null)
            {
                return null;
            }

            var request = JsonSerializer.Deserialize(line.Value.Span, KeeperJson.Default.KeeperRequest);
            return request?.Do is null ? (null, "a request needs a member 'do'") : (request, null);
        }
        catch (Exception e) when (e is JsonException or InvalidDataException or PolluxException)
        {
            return (null, $"this is no request: {e.Message}");
        }
    }

    private async Task<KeeperResponse> AnswerAsync(KeeperRequest request)
    {
        try
        {
            return await handler(request, closing.Token).ConfigureAwait(false);
        }
        catch (PolluxException e)
        {
            return new KeeperResponse(e.Message, null);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A fault in answering one request is told to who asked; it is no reason to stop keeping the VM.
            return new KeeperResponse($"the keeper failed to answer '{request.Do}': {e}", null);
        }
    }
}
