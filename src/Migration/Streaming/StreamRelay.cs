using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Wire.Migration;

namespace Pollux.Migration.Streaming;

/// <summary>
/// Carries QEMU's stream from its socket to the link, on a thread of its own, and counts what it sees. It reads no faster than the link takes,
/// so QEMU feels the link. Pages that are written all the time may be kept back until the guest stands (<see cref="PostponedPages"/>). When QEMU closes its socket the relay ends without marking the stream's end: whether it is whole, QEMU must say first.
/// </summary>
internal sealed class StreamRelay
{
    // A wait for QEMU that is longer than this leaves the link idle.
    private static readonly long IdleTicks = Stopwatch.Frequency / 2000;

    private const int HeadOfPage = 8;

    private readonly Socket _qemu;
    private readonly Stream _link;
    private readonly LinkPace _pace;
    private readonly RamStreamScanner _scanner = new(expectHeader: true);
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(ChunkFrames.HeadBytes + ChunkFrames.MaxBytes, pinned: true);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _thread;
    private readonly List<(int Start, int End)> _kept = []; // of the buffer, kept from the link
    private long _sentBytes;

    internal StreamRelay(Socket qemu, Stream link, double? bytesPerSecond, PageLedger ledger, PostponedPages? postponed = null)
    {
        (_qemu, _link, Ledger, Postponed, _pace) = (qemu, link, ledger, postponed, new LinkPace(bytesPerSecond));
        _thread = new Thread(Run) { IsBackground = true, Name = "migration out" };
        _thread.Start();
    }

    public PageLedger Ledger { get; }

    /// <summary>Null: every page goes at once.</summary>
    public PostponedPages? Postponed { get; }

    public long SentBytes => Volatile.Read(ref _sentBytes);

    /// <summary>Completes when QEMU has closed its stream and all of it is on the link; fails with a <see cref="PolluxException"/> when the link broke.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Ends the stream to the destination. Only after <see cref="Ended"/>, and only when QEMU says that it completed.</summary>
    public void MarkEnd()
    {
        if (Postponed is { Count: > 0 and var count })
        {
            throw new PolluxException($"QEMU's stream ended without the devices' state, and {count} pages of the guest's RAM were not sent", "the guest runs on at the source; look at the VM's log");
        }
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
        Close();
    }

    /// <summary>After the end was marked: the link stays open.</summary>
    public void Close()
    {
        _thread.Join();
        _qemu.Dispose();
        Postponed?.Dispose();
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
        while (true)
        {
            var before = Stopwatch.GetTimestamp();
            var read = Receive();
            if (read == 0)
            {
                return;
            }
            var idle = Stopwatch.GetTimestamp() - before > IdleTicks;
            var ram = _scanner.AtDeviceState ? 0 : TakeRam(read, idle);
            Send(ram, read - ram, idle);
        }
    }

    /// <summary>Counts the pages in what was read and sends it but for what is kept back. Returns how much of it is RAM.</summary>
    private int TakeRam(int read, bool idle)
    {
        var sink = new Sink(this);
        _kept.Clear();
        var length = _scanner.Scan(_buffer.AsSpan(ChunkFrames.HeadBytes, read), ref sink);
        Send(0, LeaveOutKept(length), idle);
        if (_scanner.AtDeviceState && Postponed is { Count: > 0 } postponed)
        {
            var space = GC.AllocateUninitializedArray<byte>(_buffer.Length, pinned: true);
            postponed.Flush(_scanner.RamSection!.Value, _scanner.Blocks[0].Name, space.AsSpan(ChunkFrames.HeadBytes), count => Send(space, 0, count, idle: false));
        }
        return length;
    }

    /// <summary>Closes the gaps; returns what is left.</summary>
    private int LeaveOutKept(int length)
    {
        if (_kept.Count == 0)
        {
            return length;
        }
        var bytes = _buffer.AsSpan(ChunkFrames.HeadBytes, length);
        var to = _kept[0].Start;
        for (var n = 0; n < _kept.Count; n++)
        {
            var rest = bytes[_kept[n].End..(n + 1 < _kept.Count ? _kept[n + 1].Start : length)];
            rest.CopyTo(bytes[to..]);
            to += rest.Length;
        }
        return to;
    }

    private void Send(int start, int length, bool idle) => Send(_buffer, start, length, idle);

    /// <param name="start">Behind the room for a chunk's head, which is before it; what stood there was sent.</param>
    private void Send(byte[] buffer, int start, int length, bool idle)
    {
        if (length > 0)
        {
            _pace.Carry(length, idle);
            ChunkFrames.Write(_link, buffer.AsSpan(start, ChunkFrames.HeadBytes + length));
            Volatile.Write(ref _sentBytes, _sentBytes + length);
        }
    }

    /// <summary>A page of the chunk that was read; only one that is whole in it, with its head, can be taken out.</summary>
    private void Take(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
    {
        if (offset > 0)
        {
            return;
        }
        var isFirst = Ledger.Count(block, address);
        if (Postponed is null)
        {
            return;
        }
        var start = PositionOf(piece) - HeadOfPage;
        var isWhole = piece.Length == RamStreamScanner.PageSize && start >= 0 && RamRecords.IsPage(_buffer.AsSpan(ChunkFrames.HeadBytes + start, HeadOfPage), address);
        if (Postponed.Take(block, address, isFirst && isWhole))
        {
            var end = start + HeadOfPage + piece.Length;
            if (_kept.Count > 0 && _kept[^1].End == start)
            {
                _kept[^1] = (_kept[^1].Start, end);
            }
            else
            {
                _kept.Add((start, end));
            }
        }
    }

    private int PositionOf(ReadOnlySpan<byte> piece) =>
        (int)Unsafe.ByteOffset(ref _buffer[ChunkFrames.HeadBytes], ref MemoryMarshal.GetReference(piece));

    /// <summary>Waits for something, and takes what else is there: the fuller the buffer, the fewer pages are cut in two. 0 when QEMU closed its end, or died.</summary>
    private int Receive()
    {
        try
        {
            var space = _buffer.AsSpan(ChunkFrames.HeadBytes);
            var used = Descriptor.Receive(_qemu.SafeHandle, space, wait: true);
            while (used > 0 && used < space.Length && Descriptor.Receive(_qemu.SafeHandle, space[used..], wait: false) is > 0 and var more)
            {
                used += more;
            }
            return used;
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

    /// <summary>What the scanner calls: a struct, so that the calls are direct.</summary>
    private readonly struct Sink(StreamRelay relay) : IRamSink
    {
        public void OnBlock(int block, string name, ulong length)
        {
            relay.Ledger.Add(name, length);
            relay.Postponed?.List(block, length);
        }

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece) => relay.Take(block, address, offset, piece);

        public void OnZeroPage(int block, ulong address)
        {
            relay.Ledger.Count(block, address);
            relay.Postponed?.Take(block, address, mayWait: false);
        }

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
            // Without a return path QEMU asks nothing.
        }
    }
}
