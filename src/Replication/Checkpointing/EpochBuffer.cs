using Pollux.Core;
using Pollux.Wire.Migration;

namespace Pollux.Replication.Checkpointing;

/// <summary>
/// One checkpoint's state in pool memory: the RAM stream as QEMU wrote it, and the device state. One thread fills it; another may take
/// full chunks off the front meanwhile (the first copy, an epoch larger than the pool, synchronous transmission), and takes everything
/// once it is complete.
/// </summary>
public sealed class EpochBuffer(ChunkPool pool, Epoch epoch) : ICheckpointBuffer
{
    private readonly Lock _lock = new();
    private readonly Queue<Chunk> _ram = new();
    private readonly Queue<Chunk> _device = new();
    private Queue<Chunk>? _filling;
    private Chunk? _current;

    public Epoch Epoch { get; } = epoch;
    public long RamBytes { get; private set; }
    public long DeviceBytes { get; private set; }

    /// <summary>Pages in it, zero pages included. Set by the one who fills.</summary>
    public long Pages { get; set; }

    /// <summary>Hashes of pages at this cut, if any were taken (<see cref="Wire.Replication.ScrubSample"/>). Set before <see cref="Complete"/>.</summary>
    public byte[]? Scrub { get; set; }

    /// <summary>On a standby: the RAM's part is page records and not QEMU's stream.</summary>
    public bool IsPages { get; set; }

    /// <summary>Nothing will be added.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>Room for the next bytes of the RAM stream (at least one). May wait for the pool.</summary>
    public Span<byte> RamSpace() => Space(_ram);

    public void RamFilled(int bytes)
    {
        _current!.Used += bytes;
        RamBytes += bytes;
    }

    /// <summary>Takes back bytes at the end of the RAM stream that turned out to belong to what follows it.</summary>
    public void RamUnfilled(int bytes)
    {
        _current!.Used -= bytes;
        RamBytes -= bytes;
    }

    /// <summary>Room for the next bytes of device state (at least one). May wait for the pool.</summary>
    public Span<byte> DeviceSpace() => Space(_device);

    public void DeviceFilled(int bytes)
    {
        _current!.Used += bytes;
        DeviceBytes += bytes;
    }

    /// <summary>Appends device state that was read elsewhere.</summary>
    public void AppendDevice(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var space = DeviceSpace();
            var n = Math.Min(space.Length, bytes.Length);
            bytes[..n].CopyTo(space);
            DeviceFilled(n);
            bytes = bytes[n..];
        }
    }

    public void Complete()
    {
        lock (_lock)
        {
            IsComplete = true;
            _current = null;
        }
    }

    /// <summary>The oldest chunk of the RAM stream that is not being filled; null when there is none now. The taker returns it to the pool.</summary>
    public Chunk? TakeRam() => Take(_ram);

    /// <summary>Likewise for the device state.</summary>
    public Chunk? TakeDevice() => Take(_device);

    /// <summary>Copies the device state, of a complete buffer.</summary>
    public byte[] CopyDeviceState()
    {
        lock (_lock)
        {
            var state = new byte[DeviceBytes];
            var at = 0;
            foreach (var chunk in _device)
            {
                chunk.Filled.CopyTo(state.AsSpan(at));
                at += chunk.Used;
            }
            return state;
        }
    }

    /// <summary>Gives every chunk that is left back to the pool.</summary>
    public void Return()
    {
        Complete();
        while ((TakeRam() ?? TakeDevice()) is { } chunk)
        {
            pool.Return(chunk);
        }
    }

    /// <summary>
    /// The filler gives up: all memory goes back, and the epoch never becomes complete, so that nobody can take a part of it for the
    /// whole.
    /// </summary>
    public void Abandon()
    {
        lock (_lock)
        {
            _current = null;
            while (_ram.TryDequeue(out var chunk) || _device.TryDequeue(out chunk))
            {
                pool.Return(chunk);
            }
        }
    }

    private Chunk? Take(Queue<Chunk> from)
    {
        lock (_lock)
        {
            return from.TryPeek(out var first) && !ReferenceEquals(first, _current) ? from.Dequeue() : null;
        }
    }

    private Span<byte> Space(Queue<Chunk> into)
    {
        if (_current is null || !ReferenceEquals(_filling, into) || _current.Used == ChunkPool.ChunkBytes)
        {
            var chunk = pool.Rent();
            lock (_lock)
            {
                _current = chunk;
                _filling = into;
                into.Enqueue(chunk);
            }
        }
        return _current.Free;
    }
}
