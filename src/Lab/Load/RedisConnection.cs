using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Pollux.Lab.Load;

/// <summary>The connection ended, for the reason in the message: reset, closed, or nonsense from the server.</summary>
public sealed class ConnectionLostException(string message, Exception? cause = null) : Exception(message, cause);

/// <summary>
/// One TCP connection to a Redis server with the kernel's default settings. Its calls block their thread, so that a time taken here
/// is that of the kernel and not of a scheduler's queue.
/// </summary>
internal sealed class RedisConnection : IDisposable
{
    private const int MicrosecondsPerLook = 50_000;
    private readonly Socket _socket;
    private byte[] _buffer = new byte[64 * 1024];
    private int _filled;

    private RedisConnection(Socket socket) => _socket = socket;

    /// <exception cref="ConnectionLostException">Nobody answers at that address, or <paramref name="giveUp"/> said so before one did.</exception>
    internal static RedisConnection Open(Socket socket, IPEndPoint server, Func<bool> giveUp)
    {
        try
        {
            Connect(socket, server, giveUp);
            return new RedisConnection(socket);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            socket.Dispose();
            throw new ConnectionLostException($"{server} cannot be reached: {e.Message}", e);
        }
    }

    /// <exception cref="ConnectionLostException">The connection has ended.</exception>
    internal void Send(ReadOnlySpan<byte> command)
    {
        try
        {
            while (!command.IsEmpty)
            {
                command = command[_socket.Send(command)..];
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new ConnectionLostException($"sending failed: {e.Message}", e);
        }
    }

    /// <summary>The next reply; null: <paramref name="giveUp"/> said so before it was whole.</summary>
    /// <param name="firstByteTicks">When its first byte was here, on the clock of <see cref="Stopwatch"/>.</param>
    /// <exception cref="ConnectionLostException">The connection has ended.</exception>
    internal RespReply? Receive(Func<bool> giveUp, out long firstByteTicks)
    {
        firstByteTicks = 0;
        while (true)
        {
            if (_filled > 0 && Parse() is { } reply)
            {
                return reply;
            }
            if (!WaitForBytes(giveUp))
            {
                return null;
            }
            Fill();
            if (firstByteTicks == 0)
            {
                firstByteTicks = Stopwatch.GetTimestamp();
            }
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>Ends it by a reset: the kernel sends nothing any more of what was not acknowledged.</summary>
    internal void Abort()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    /// <summary>The kernel tries for two minutes; a caller need not.</summary>
    private static void Connect(Socket socket, IPEndPoint server, Func<bool> giveUp)
    {
        socket.Blocking = false;
        try
        {
            socket.Connect(server);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
            while (!socket.Poll(MicrosecondsPerLook, SelectMode.SelectWrite))
            {
                if (giveUp())
                {
                    throw new SocketException((int)SocketError.TimedOut);
                }
            }
        }
        var error = (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
        if (error != 0)
        {
            throw new SocketException(error);
        }
        socket.Blocking = true;
    }

    private RespReply? Parse()
    {
        try
        {
            var reply = Resp.TryRead(_buffer.AsSpan(0, _filled), out var consumed);
            if (reply is not null)
            {
                _filled -= consumed;
                _buffer.AsSpan(consumed, _filled).CopyTo(_buffer);
            }
            return reply;
        }
        catch (RespFormatException e)
        {
            throw new ConnectionLostException($"the server sent no Redis reply: {e.Message}", e);
        }
    }

    private bool WaitForBytes(Func<bool> giveUp)
    {
        try
        {
            while (!_socket.Poll(MicrosecondsPerLook, SelectMode.SelectRead))
            {
                if (giveUp())
                {
                    return false;
                }
            }
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new ConnectionLostException($"waiting for a reply failed: {e.Message}", e);
        }
    }

    private void Fill()
    {
        if (_filled == _buffer.Length)
        {
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }
        int received;
        try
        {
            received = _socket.Receive(_buffer.AsSpan(_filled));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new ConnectionLostException($"receiving failed: {e.Message}", e);
        }
        if (received == 0)
        {
            throw new ConnectionLostException("the server closed the connection");
        }
        _filled += received;
    }
}
