using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Pollux.Core;
using Pollux.Replication.Link;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Moving;

/// <summary>
/// What the two keepers of a live migration say to each other, beside the stream. A beat every second keeps a dead host from being waited for.
/// </summary>
internal sealed class MoveControl : IDisposable
{
    private static readonly TimeSpan BeatEvery = TimeSpan.FromSeconds(1);
    private readonly FrameStream _frames;
    private readonly Action<FrameHeader, byte[]> _hear;
    private readonly Action<string> _ended;
    private readonly BlockingCollection<(FrameType Type, byte[] Payload)> _words = [];
    private readonly Thread _writer;
    private readonly CancellationTokenSource _closed = new();

    /// <param name="hear">Called for every frame but beats, on a thread of this object's.</param>
    /// <param name="ended">Called once, with the reason, when the other side cannot be heard any more.</param>
    public MoveControl(FrameStream frames, Action<FrameHeader, byte[]> hear, Action<string> ended)
    {
        (_frames, _hear, _ended) = (frames, hear, ended);
        if (frames.Stream is { CanTimeout: true } stream)
        {
            stream.ReadTimeout = stream.WriteTimeout = (int)MovePatience.Silence.TotalMilliseconds;
        }
        new Thread(Read) { IsBackground = true, Name = "move control in" }.Start();
        _writer = new Thread(Write) { IsBackground = true, Name = "move control out" };
        _writer.Start();
    }

    public void Tell(FrameType type, string text) => Tell(type, Encoding.UTF8.GetBytes(text));

    /// <summary>Written by a thread of this object's, in order: the other side may take nothing. That it cannot be is the end of the connection, which is told elsewhere.</summary>
    public void Tell(FrameType type, byte[] payload)
    {
        try
        {
            _words.Add((type, payload));
        }
        catch (InvalidOperationException)
        {
            // Closed.
        }
    }

    /// <summary>What was told last still goes, if that is possible in a moment.</summary>
    public void Dispose()
    {
        _words.CompleteAdding();
        _closed.Cancel();
        _writer.Join(MovePatience.LastWords);
        _frames.Dispose();
    }

    private void Write()
    {
        try
        {
            while (!_words.IsCompleted)
            {
                if (_words.TryTake(out var word, BeatEvery))
                {
                    _frames.Write(word.Type, 0, word.Payload);
                }
                else if (!_words.IsAddingCompleted)
                {
                    _frames.Write(FrameType.Heartbeat, 0, []);
                }
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            KeeperLog.Say($"nothing more can be told of the move: {e.Message}");
            _frames.Dispose(); // so that the reader says that it is over
        }
    }

    private void Read()
    {
        try
        {
            while (true)
            {
                var header = _frames.ReadHeader();
                var payload = _frames.ReadPayload(header);
                if (header.Type != FrameType.Heartbeat)
                {
                    _hear(header, payload);
                }
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            if (!_closed.IsCancellationRequested)
            {
                _ended(e switch
                {
                    EndOfStreamException => "the other side closed it",
                    _ when e.GetBaseException() is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock } => $"nothing was heard from it for {MovePatience.Silence.TotalSeconds:0} s",
                    _ => e.Message,
                });
            }
        }
    }

    private static bool IsEnd(Exception e) =>
        e is IOException or SocketException or PolluxException or ObjectDisposedException or InvalidOperationException or AuthenticationException;
}

internal static class MovePatience
{
    /// <summary>A side that is not heard for so long is dead or cut off.</summary>
    public static readonly TimeSpan Silence = TimeSpan.FromSeconds(5);

    /// <summary>For what one side says when it leaves.</summary>
    public static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(500);

    /// <summary>For what the source has kept for a guest that runs at the destination.</summary>
    public static readonly TimeSpan LastIngress = TimeSpan.FromMilliseconds(500);

    /// <summary>A QEMU that has not let the guest run by then is of no use.</summary>
    public static readonly TimeSpan Run = TimeSpan.FromSeconds(10);

    /// <summary>A destination to which nobody comes.</summary>
    public static readonly TimeSpan Expect = TimeSpan.FromSeconds(30);
}
