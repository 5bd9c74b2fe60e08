using System.Diagnostics;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Wire.Migration;

namespace Pollux.Migration.Streaming;

/// <summary>
/// Carries QEMU's stream from its socket to the link, on a thread of its own, and counts what it sees. It reads no faster than the link takes,
/// so QEMU feels the link. When QEMU closes its socket the relay ends without marking the stream's end: whether it is whole, QEMU must say first.
/// </summary>
internal sealed class StreamRelay
{
    // A wait for QEMU that is longer than this leaves the link idle.
    private static readonly long IdleTicks = Stopwatch.Frequency / 2000;

    private readonly Socket _qemu;
    private readonly Stream _link;
    private readonly LinkPace _pace;
    private readonly RamStreamScanner _scanner = new(expectHeader: true);
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(ChunkFrames.HeadBytes + ChunkFrames.MaxBytes, pinned: true);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _thread;
    private long _sentBytes;

    internal StreamRelay(Socket qemu, Stream link, double? bytesPerSecond, PageLedger ledger)
    {
        (_qemu, _link, Ledger, _pace) = (qemu, link, ledger, new LinkPace(bytesPerSecond));
        _thread = new Thread(Run) { IsBackground = true, Name = "migration out" };
        _thread.Start();
    }

    public PageLedger Ledger { get; }
    public long SentBytes => Volatile.Read(ref _sentBytes);

    /// <summary>Completes when QEMU has closed its stream and all of it is on the link; fails with a <see cref="PolluxException"/> when the link broke.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Ends the stream to the destination. Only after <see cref="Ended"/>, and only when QEMU says that it completed.</summary>
    public void MarkEnd()
    {
        try
        {
            ChunkFrames.WriteEnd(_link);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            throw LinkBroke(e);
        }
    }

    /// <summary>Ends it at once, wherever it stands, and closes the link: a thread that writes to a silent link knows no other way to end.</summary>
    public void Break()
    {
        CloseQemu();
        _link.Dispose();
        _thread.Join();
        _qemu.Dispose();
    }

    /// <summary>After the end was marked: the link stays open.</summary>
    public void Close()
    {
        _thread.Join();
        _qemu.Dispose();
    }

    private void Run()
    {
        try
        {
            Relay();
            _ended.TrySetResult();
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            _ended.TrySetException(LinkBroke(e));
        }
        catch (Exception e)
        {
            // What QEMU sent is no stream that can be counted (WireFormatException), or a fault of ours: told by whoever waits.
            _ended.TrySetException(e);
        }
        finally
        {
            // Somebody may never ask; QEMU sees that nobody listens any more and lets the guest run on.
            _ = _ended.Task.Exception;
            CloseQemu();
        }
    }

    private void Relay()
    {
        var sink = new PageLedger.Sink(Ledger);
        while (true)
        {
            var before = Stopwatch.GetTimestamp();
            var read = Receive();
            if (read == 0)
            {
                return;
            }
            var idle = Stopwatch.GetTimestamp() - before > IdleTicks;
            if (!_scanner.AtDeviceState)
            {
                _scanner.Scan(_buffer.AsSpan(ChunkFrames.HeadBytes, read), ref sink);
            }
            _pace.Carry(read, idle);
            ChunkFrames.Write(_link, _buffer.AsSpan(0, ChunkFrames.HeadBytes + read));
            Volatile.Write(ref _sentBytes, _sentBytes + read);
        }
    }

    /// <summary>0 when QEMU closed its end, or died.</summary>
    private int Receive()
    {
        try
        {
            return Descriptor.Receive(_qemu.SafeHandle, _buffer.AsSpan(ChunkFrames.HeadBytes), wait: true);
        }
        catch (LinuxException)
        {
            return 0;
        }
    }

    private void CloseQemu()
    {
        try
        {
            Descriptor.ShutDown(_qemu.SafeHandle);
        }
        catch (Exception e) when (e is LinuxException or ObjectDisposedException)
        {
            Debug.WriteLine(e.Message);
        }
    }

    private static PolluxException LinkBroke(Exception e) =>
        new($"the migration's link to the destination broke: {e.Message}", "see that the destination runs and try again", e);
}
