using System.Net.Sockets;
using System.Text.Json;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Cluster.Keepers;

/// <summary>
/// Asks a keeper over its control socket, one connection a request, so that a slow takeover delays no status.
/// </summary>
/// <param name="socketPath"><c>keeper.sock</c> in the VM's run directory.</param>
public sealed class KeeperClient(string socketPath, TimeProvider? clock = null)
{
    /// <summary>How long a keeper may take to accept and to answer a status.</summary>
    public static readonly TimeSpan StatusWithin = TimeSpan.FromSeconds(2);

    /// <summary>A status with two hosts' figures takes about 2 KB.</summary>
    private const int AnswerBytesMax = 1 << 20;

    private readonly TimeProvider clock = clock ?? TimeProvider.System;

    /// <summary>The keeper's state, null when no keeper listens there.</summary>
    /// <exception cref="PolluxException">It listens but does not answer, or answers with an error.</exception>
    public async Task<KeeperStatus?> TryStatusAsync(CancellationToken cancellation)
    {
        try
        {
            return (await AskAsync(new KeeperRequest("status"), StatusWithin, cancellation).ConfigureAwait(false)).Status;
        }
        catch (KeeperAbsentException)
        {
            return null;
        }
    }

    /// <summary>Sends one request and waits for its answer.</summary>
    /// <exception cref="KeeperAbsentException">No keeper listens.</exception>
    /// <exception cref="KeeperSilentException">No answer came <paramref name="within"/> the time: whether it was done is unknown.</exception>
    /// <exception cref="PolluxException">The keeper refused, with its reason.</exception>
    public async Task<KeeperResponse> AskAsync(KeeperRequest request, TimeSpan within, CancellationToken cancellation)
    {
        using var deadline = new CancellationTokenSource(within, clock);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await ConnectAsync(socket, end.Token).ConfigureAwait(false);
            var response = await ExchangeAsync(socket, request, end.Token).ConfigureAwait(false);
            return response.Error is null ? response : throw new PolluxException(response.Error);
        }
        catch (OperationCanceledException e) when (deadline.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new KeeperSilentException(request.Do, $"no answer within {within.TotalSeconds:0.#} s", e);
        }
        catch (Exception e) when (e is IOException or SocketException or InvalidDataException or JsonException)
        {
            throw new KeeperSilentException(request.Do, e.Message, e);
        }
    }

    private async Task ConnectAsync(Socket socket, CancellationToken cancellation)
    {
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw new KeeperAbsentException($"no keeper listens on {socketPath}", e);
        }
    }

    private static async Task<KeeperResponse> ExchangeAsync(Socket socket, KeeperRequest request, CancellationToken cancellation)
    {
        using var stream = new NetworkStream(socket, ownsSocket: false);
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(request, KeeperJson.Default.KeeperRequest), (byte)'\n'];
        await stream.WriteAsync(line, cancellation).ConfigureAwait(false);
        var answer = await new LineReader(stream, AnswerBytesMax).ReadAsync(cancellation).ConfigureAwait(false);
        return answer is null
            ? throw new IOException("it closed the connection")
            : JsonSerializer.Deserialize(answer.Value.Span, KeeperJson.Default.KeeperResponse) ?? throw new JsonException("null");
    }
}

/// <summary>No keeper listens on a control socket.</summary>
public sealed class KeeperAbsentException(string problem, Exception? cause = null)
    : PolluxException(problem, "start the VM first", cause);

/// <summary>A keeper gave no answer; whether it did what it was asked is unknown.</summary>
public sealed class KeeperSilentException(string what, string why, Exception cause)
    : OutcomeUnknownException($"the keeper did not answer '{what}': {why}", "look at its state (pollux vm show) and at keeper.log in its run directory", cause);
