using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Wire;
using Pollux.Wire.Qmp;

namespace Pollux.Qemu.Qmp;

/// <summary>
/// One connection to a QEMU's machine protocol.
///
/// Commands are pipelined and matched to their answers by id. One loop receives; sending happens on the caller's thread under a lock, or,
/// when the socket is full, on a second loop in the same order. Events are raised on the receive loop and never hold back an answer.
/// The first reason to end wins: it fails every command that waits, and completes <see cref="Closed"/>.
/// All members may be called from any thread.
/// </summary>
public sealed class QmpSession : IAsyncDisposable
{
    /// <summary>The id of commands whose answer nobody awaits.</summary>
    private const long PostedId = 0;

    // A QEMU whose main loop stands still (a stalled disk at a checkpoint) is no reason to buffer without end.
    private const int MaxQueuedBytes = 1 << 20;

    private readonly Socket _socket;
    private readonly QmpLineSplitter _lines = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<long, Pending> _pending = [];
    private readonly Queue<ReadOnlyMemory<byte>> _unsent = new();
    private readonly SemaphoreSlim _unsentSignal = new(0);
    private readonly TaskCompletionSource<string> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _unsentBytes;
    private long _lastId = PostedId;
    private Task _loops = Task.CompletedTask;

    private QmpSession(Socket socket) => _socket = socket;

    private sealed record Pending(string Command, TaskCompletionSource<JsonElement> Answer);

    /// <summary>From the greeting, such as 7.2.22.</summary>
    public string QemuVersion { get; private set; } = "";

    /// <summary>Completes, with the first reason, when the connection ended; never fails.</summary>
    public Task<string> Closed => _closed.Task;

    /// <summary>Called on the receive loop: must not block, and must not throw.</summary>
    public event Action<QmpEvent>? EventReceived;

    /// <summary>
    /// Called on the receive loop with a sentence about an answer that nobody waits for: a posted command that failed,
    /// or an id that was never given.
    /// </summary>
    public event Action<string>? AnswerUnmatched;

    /// <summary>Connects, trying again until the socket listens, and takes QEMU out of negotiation.</summary>
    /// <param name="patience">How long QEMU may take to listen and answer.</param>
    /// <exception cref="PolluxException">It did not in that time.</exception>
    public static async Task<QmpSession> ConnectAsync(string socketPath, TimeSpan patience, CancellationToken cancellation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(patience);
        Socket? socket = null;
        QmpSession? session = null;
        try
        {
            socket = await ConnectSocketAsync(socketPath, deadline.Token).ConfigureAwait(false);
            session = new QmpSession(socket);
            await session.GreetAsync(deadline.Token).ConfigureAwait(false);
            return session;
        }
        catch (Exception e)
        {
            socket?.Dispose();
            if (session is not null)
            {
                await session.DisposeAsync().ConfigureAwait(false);
            }

            if (e is OperationCanceledException && !cancellation.IsCancellationRequested)
            {
                throw new PolluxException(
                    $"QEMU did not answer on {socketPath} within {patience.TotalSeconds:0.#} s", "look at its log beside the socket", e);
            }

            throw;
        }
    }

    /// <summary>Runs a command and returns what QEMU returned.</summary>
    /// <exception cref="QmpCommandException">QEMU refused.</exception>
    /// <exception cref="QmpClosedException">The connection ended first; the outcome is unknown.</exception>
    public async Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null, CancellationToken cancellation = default)
    {
        var id = Interlocked.Increment(ref _lastId);
        var pending = new Pending(command, new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously));
        lock (_gate)
        {
            ThrowIfClosed();
            _pending.Add(id, pending);
            Send(QmpCommand.Encode(command, arguments, id));
        }

        // A caller that gives up leaves the entry: the answer still comes, and is then no surprise.
        return await pending.Answer.Task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Sends a command without waiting; a refusal is told by <see cref="AnswerUnmatched"/>.</summary>
    public void Post(string command, JsonObject? arguments = null) => PostEncoded(Encode(command, arguments));

    /// <summary>The bytes of a command for <see cref="PostEncoded"/>.</summary>
    public static ReadOnlyMemory<byte> Encode(string command, JsonObject? arguments = null) =>
        QmpCommand.Encode(command, arguments, PostedId);

    /// <summary>Sends what <see cref="Encode"/> made: nothing is left to do but the system call.</summary>
    public void PostEncoded(ReadOnlyMemory<byte> command)
    {
        lock (_gate)
        {
            ThrowIfClosed();
            Send(command);
        }
    }

    /// <summary>Closes the connection and waits for the loops. QEMU itself runs on.</summary>
    public async ValueTask DisposeAsync()
    {
        Abort("closed by us");
        await _loops.ConfigureAwait(false);
        _socket.Dispose();
    }

    private static async Task<Socket> ConnectSocketAsync(string path, CancellationToken cancellation)
    {
        var endpoint = new UnixDomainSocketEndPoint(path);
        while (true)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(endpoint, cancellation).ConfigureAwait(false);
                return socket;
            }
            catch (Exception e)
            {
                socket.Dispose();
                if (e is not SocketException)
                {
                    throw;
                }
            }

            await Task.Delay(TimeSpan.FromMilliseconds(2), cancellation).ConfigureAwait(false);
        }
    }

    private async Task GreetAsync(CancellationToken cancellation)
    {
        var greeting = await ReceiveLineAsync(cancellation).ConfigureAwait(false);
        if (greeting is not QmpMessage.Greeting { Version: var version })
        {
            throw new WireFormatException("QMP stream", 0, "QEMU's greeting", greeting?.ToString() ?? "the end");
        }

        QemuVersion = version;
        _socket.Blocking = false;
        _loops = Task.WhenAll(Task.Run(ReceiveAsync, CancellationToken.None), Task.Run(SendQueuedAsync, CancellationToken.None));
        await ExecuteAsync("qmp_capabilities", null, cancellation).ConfigureAwait(false);
    }

    /// <summary>The next message, or null at the end of the connection.</summary>
    private async ValueTask<QmpMessage?> ReceiveLineAsync(CancellationToken cancellation)
    {
        while (true)
        {
            if (_lines.TryReadLine(out var line))
            {
                return QmpMessage.Parse(line);
            }

            var count = await _socket.ReceiveAsync(_lines.GetMemory(), SocketFlags.None, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return null;
            }

            _lines.Advance(count);
        }
    }

    private async Task ReceiveAsync()
    {
        try
        {
            while (await ReceiveLineAsync(CancellationToken.None).ConfigureAwait(false) is { } message)
            {
                Dispatch(message);
            }

            Abort("QEMU closed it");
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or WireFormatException)
        {
            Abort(e.Message);
        }
    }

    private void Dispatch(QmpMessage message)
    {
        switch (message)
        {
            case QmpMessage.Event e:
                EventReceived?.Invoke(new QmpEvent(e.Name, e.TimestampMicros, e.Data));
                break;
            case QmpMessage.Return { Id: PostedId }:
                break;
            case QmpMessage.Return { Id: { } id } r when Take(id) is { } pending:
                pending.Answer.TrySetResult(r.Value);
                break;
            case QmpMessage.Error { Id: { } id } e when Take(id) is { } pending:
                pending.Answer.TrySetException(new QmpCommandException(pending.Command, e.Class, e.Description));
                break;
            case QmpMessage.Error e:
                AnswerUnmatched?.Invoke($"QEMU refused a command that nobody waits for: {e.Description}");
                break;
            default:
                AnswerUnmatched?.Invoke($"QEMU answered what nobody asked: {message}");
                break;
        }
    }

    private Pending? Take(long id)
    {
        lock (_gate)
        {
            return _pending.Remove(id, out var pending) ? pending : null;
        }
    }

    /// <summary>Under the gate: sends at once what the socket takes, and queues the rest for the send loop.</summary>
    private void Send(ReadOnlyMemory<byte> bytes)
    {
        if (_unsentBytes == 0)
        {
            var sent = _socket.Send(bytes.Span, SocketFlags.None, out var error);
            if (error is not (SocketError.Success or SocketError.WouldBlock))
            {
                Abort($"sending failed: {error}");
                return;
            }

            bytes = error == SocketError.Success ? bytes[sent..] : bytes;
            if (bytes.IsEmpty)
            {
                return;
            }
        }

        if (_unsentBytes + bytes.Length > MaxQueuedBytes)
        {
            Abort($"QEMU took none of {_unsentBytes} bytes of commands");
            return;
        }

        _unsentBytes += bytes.Length;
        _unsent.Enqueue(bytes);
        _unsentSignal.Release();
    }

    private async Task SendQueuedAsync()
    {
        try
        {
            while (!_closed.Task.IsCompleted)
            {
                await _unsentSignal.WaitAsync().ConfigureAwait(false);
                ReadOnlyMemory<byte> bytes;
                lock (_gate)
                {
                    if (!_unsent.TryDequeue(out bytes))
                    {
                        continue;
                    }
                }

                for (var left = bytes; !left.IsEmpty;)
                {
                    left = left[await _socket.SendAsync(left, SocketFlags.None).ConfigureAwait(false)..];
                }

                lock (_gate)
                {
                    // Only now, so that a direct send cannot overtake.
                    _unsentBytes -= bytes.Length;
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            Abort(e.Message);
        }
    }

    private void ThrowIfClosed()
    {
        if (_closed.Task.IsCompletedSuccessfully)
        {
            throw new QmpClosedException(_closed.Task.GetAwaiter().GetResult());
        }
    }

    private void Abort(string reason)
    {
        if (!_closed.TrySetResult(reason))
        {
            return;
        }

        Pending[] waiting;
        lock (_gate)
        {
            waiting = [.. _pending.Values];
            _pending.Clear();
        }

        foreach (var pending in waiting)
        {
            pending.Answer.TrySetException(new QmpClosedException(reason));
        }

        // Not disposed here: that is for the owner, when no loop uses it any more.
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            Debug.WriteLine(e.Message);
        }

        _unsentSignal.Release();
    }
}
