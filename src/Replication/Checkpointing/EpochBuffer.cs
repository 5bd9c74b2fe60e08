using Pollux.Core;

namespace Pollux.Replication.Checkpointing;

/// <summary>
/// One checkpoint's state in pool memory: the RAM stream as QEMU wrote it, and the device state. Filled by one thread, then handed
/// over whole; while it is larger than the pool can hold, finished chunks may be taken off the front early.
/// </summary>
public sealed class EpochBuffer(ChunkPool pool, Epoch epoch)
{
    private readonly Queue<Chunk> _ram = new();
    private readonly Queue<Chunk> _device = new();
    private Chunk? _current;
    private Queue<Chunk> _filling = null!;

    public Epoch Epoch { get; } = epoch;
    public long RamBytes { get; private set; }
    public long DeviceBytes { get; private set; }

    /// <summary>Pages in it, zero pages included.</summary>
    public long Pages { get; set; }

    public IEnumerable<Chunk> Ram => _ram;
    public IEnumerable<Chunk> Device => _device;

    /// <summary>Room for the next bytes of the RAM stream (at least one). May wait for the pool.</summary>
    public Span<byte> RamSpace() => Space(_ram);

    public void RamFilled(int bytes)
    {
        Filled(bytes);
        RamBytes += bytes;
    }

    /// <summary>Room for the next bytes of device state (at least one). May wait for the pool.</summary>
    public Span<byte> DeviceSpace() => Space(_device);

    public void DeviceFilled(int bytes)
    {
        Filled(bytes);
        DeviceBytes += bytes;
    }

    /// <summary>Appends bytes that were read elsewhere.</summary>
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

    /// <summary>Takes the oldest full chunk of the RAM stream, if there is one before the chunk being filled. The taker returns it.</summary>
    public Chunk? TakeFullRamChunk()
    {
        if (_ram.Count == 0 || (_ram.Count == 1 && ReferenceEquals(_ram.Peek(), _current)))
        {
            return null;
        }
        return _ram.Dequeue();
    }

    public byte[] DeviceState()
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

    /// <summary>Gives every chunk back to the pool.</summary>
    public void Return()
    {
        while (_ram.TryDequeue(out var chunk))
        {
            pool.Return(chunk);
        }
        while (_device.TryDequeue(out var chunk))
        {
            pool.Return(chunk);
        }
        _current = null;
    }

    private Span<byte> Space(Queue<Chunk> into)
    {
        if (_current is null || !ReferenceEquals(_filling, into) || _current.Used == ChunkPool.ChunkBytes)
        {
            _current = pool.Rent();
            _filling = into;
            into.Enqueue(_current);
        }
        return _current.Free;
    }

    private void Filled(int bytes) => _current!.Used += bytes;
}
