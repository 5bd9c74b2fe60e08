using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;

namespace Pollux.Lab.Load;

/// <summary>
/// Many clients at once, each with its own connection and one request under way: half of them SET, half GET, of a few hundred keys. What
/// each waits for is hidden by the others, so that the server's throughput shows, and not the round trip. Answers are counted and timed, not judged:
/// <see cref="RedisLoad"/> and <see cref="RegisterLoad"/> do that.
/// </summary>
public sealed class RedisCrowd : IAsyncDisposable
{
    private const int Keys = 512;
    private readonly CancellationTokenSource _end = new();
    private readonly List<Task> _clients = [];
    private string? _complaint;

    /// <summary>Every request with its times; grows while the load runs.</summary>
    public RequestLog Log { get; } = new();

    /// <summary>Connects all clients and begins.</summary>
    /// <param name="openSocket">A TCP socket in the network from which the clients speak.</param>
    /// <exception cref="PolluxException">The server cannot be reached.</exception>
    public static async Task<RedisCrowd> StartAsync(Func<Socket> openSocket, IPEndPoint server, int clients, CancellationToken cancellation = default)
    {
        var sockets = new List<Socket>();
        try
        {
            for (var client = 0; client < clients; client++)
            {
                var socket = openSocket();
                sockets.Add(socket);
                socket.NoDelay = true;
                await socket.ConnectAsync(server, cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(10), cancellation).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is SocketException or TimeoutException)
        {
            sockets.ForEach(s => s.Dispose());
            throw new PolluxException($"{server} does not take {clients} connections: {e.Message}", "see the guest's console", e);
        }
        var crowd = new RedisCrowd();
        crowd._clients.AddRange(sockets.Select((socket, n) => Task.Run(() => crowd.WorkAsync(socket, n))));
        return crowd;
    }

    /// <summary>Ends the load.</summary>
    /// <exception cref="PolluxException">A connection had died before.</exception>
    public async Task FinishAsync()
    {
        await DisposeAsync().ConfigureAwait(false);
        if (_complaint is { } complaint)
        {
            throw new PolluxException($"a connection of the load died: {complaint}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_clients).ConfigureAwait(false);
    }

    private async Task WorkAsync(Socket socket, int client)
    {
        using var owned = socket;
        var random = new Random(client);
        var buffer = new byte[1024];
        try
        {
            for (var n = 0L; !_end.IsCancellationRequested; n++)
            {
                var key = $"crowd:{random.Next(Keys)}";
                var command = n % 2 == 0 ? Resp.Command("SET", key, $"{client}:{n}") : Resp.Command("GET", key);
                var sent = Stopwatch.GetTimestamp();
                await socket.SendAsync(command, _end.Token).ConfigureAwait(false);
                await ReplyAsync(socket, buffer).ConfigureAwait(false);
                Log.TryAdd(new Exchange(n % 2 == 0 ? RequestKind.Write : RequestKind.Read, sent, Stopwatch.GetTimestamp()));
            }
        }
        catch (OperationCanceledException)
        {
            // The end was asked for.
        }
        catch (Exception e) when (e is SocketException or RespFormatException)
        {
            _complaint ??= e.Message;
        }
    }

    /// <summary>One request is under way, so what comes is its reply and nothing else.</summary>
    private async Task ReplyAsync(Socket socket, byte[] buffer)
    {
        var filled = 0;
        while (Resp.TryRead(buffer.AsSpan(0, filled), out _) is null || filled == 0)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(filled), _end.Token).ConfigureAwait(false);
            filled += received > 0 ? received : throw new SocketException((int)SocketError.ConnectionReset);
        }
    }
}
