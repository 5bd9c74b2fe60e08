using System.Buffers.Binary;
using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Network;

/// <summary>
/// Held frames in one ring outside the collector's heap, first in first out over all NICs. Each entry: epoch (8 bytes), NIC (4),
/// length (4), frame, padded to 8. An entry never wraps: a gap at the end is marked by NIC -1. Not thread-safe.
/// </summary>
public sealed class FrameRing(int capacityBytes) : IDisposable
{
    private const int EntryHeaderBytes = 16;
    private readonly MemoryMap _map = MemoryMap.AllocateAnonymous(capacityBytes);
    private readonly int _capacity = capacityBytes;
    private int _head;
    private int _tail;
    private int _used;

    public long Frames { get; private set; }
    public int UsedBytes => _used;

    /// <summary>False when there is no room.</summary>
    public bool TryPut(Epoch epoch, int nic, ReadOnlySpan<byte> frame)
    {
        var size = SizeOf(frame.Length);
        var gap = _capacity - _tail < size ? _capacity - _tail : 0;
        if (_used + gap + size > _capacity)
        {
            return false;
        }
        if (gap > 0)
        {
            if (gap >= EntryHeaderBytes)
            {
                WriteHeader(_tail, Epoch.None, -1, gap - EntryHeaderBytes);
            }
            _used += gap;
            _tail = 0;
        }
        WriteHeader(_tail, epoch, nic, frame.Length);
        frame.CopyTo(_map.Span(_tail + EntryHeaderBytes, frame.Length));
        _tail = (_tail + size) % _capacity;
        _used += size;
        Frames++;
        return true;
    }

    /// <summary>The oldest frame. Valid until <see cref="Drop"/>.</summary>
    public bool TryPeek(out Epoch epoch, out int nic, out ReadOnlySpan<byte> frame)
    {
        (epoch, nic) = (Epoch.None, 0);
        frame = default;
        if (Frames == 0)
        {
            return false;
        }
        SkipGap();
        var header = _map.Span(_head, EntryHeaderBytes);
        epoch = new Epoch(BinaryPrimitives.ReadInt64LittleEndian(header));
        nic = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        frame = _map.Span(_head + EntryHeaderBytes, BinaryPrimitives.ReadInt32LittleEndian(header[12..]));
        return true;
    }

    /// <summary>Removes the oldest frame.</summary>
    public void Drop()
    {
        Invariant.Check(Frames > 0, "only a frame that is there can be dropped");
        SkipGap();
        var size = SizeOf(BinaryPrimitives.ReadInt32LittleEndian(_map.Span(_head + 12, 4)));
        _head = (_head + size) % _capacity;
        _used -= size;
        Frames--;
    }

    /// <summary>Copies frames of one epoch, oldest first, until <paramref name="batch"/> (a <see cref="FrameBatch"/>) is full; returns its bytes.</summary>
    public int CopyTo(Span<byte> batch, Epoch wanted)
    {
        var used = 0;
        var at = _head;
        for (var left = Frames; left > 0; left--)
        {
            at = IsGap(at) ? 0 : at;
            var header = _map.Span(at, EntryHeaderBytes);
            var epoch = new Epoch(BinaryPrimitives.ReadInt64LittleEndian(header));
            var length = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
            if (epoch > wanted)
            {
                break;
            }
            var nic = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
            if (epoch == wanted && !FrameBatch.TryAppend(batch, ref used, nic, _map.Span(at + EntryHeaderBytes, length)))
            {
                break;
            }
            at = (at + SizeOf(length)) % _capacity;
        }
        return used;
    }

    public void Clear() => (_head, _tail, _used, Frames) = (0, 0, 0, 0);

    public void Dispose() => _map.Dispose();

    private void SkipGap()
    {
        if (IsGap(_head))
        {
            _used -= _capacity - _head;
            _head = 0;
        }
    }

    private bool IsGap(int at) => _capacity - at < EntryHeaderBytes || BinaryPrimitives.ReadInt32LittleEndian(_map.Span(at + 8, 4)) < 0;

    private void WriteHeader(int at, Epoch epoch, int nic, int length)
    {
        var header = _map.Span(at, EntryHeaderBytes);
        BinaryPrimitives.WriteInt64LittleEndian(header, epoch.Value);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], nic);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], length);
    }

    private static int SizeOf(int length) => EntryHeaderBytes + ((length + 7) & ~7);
}
