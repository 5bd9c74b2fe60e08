using Pollux.Core;
using Pollux.Linux.Memory;

namespace Pollux.Replication.Checkpointing;

/// <summary>A piece of memory outside the collector's heap, lent by a <see cref="ChunkPool"/>.</summary>
public sealed unsafe class Chunk
{
    private readonly MemoryMap _map;

    internal Chunk(MemoryMap map) => _map = map;

    /// <summary>Bytes filled so far, from the start.</summary>
    public int Used { get; set; }

    public Span<byte> Free => new(_map.Start + Used, ChunkPool.ChunkBytes - Used);
    public ReadOnlySpan<byte> Filled => new(_map.Start, Used);

    internal void Unmap() => _map.Dispose();
}

/// <summary>
/// The memory of a VM's epochs in flight: chunks that are lent and come back. Its size follows what checkpoints really need
/// (<see cref="BufferSizing"/>) and never passes the ceiling: at the ceiling a renter waits, which withholds LOADED, which slows the guest.
/// The last returned is the first lent, so that the memory a pause touches is warm.
/// </summary>
public sealed class ChunkPool(long ceilingBytes) : IDisposable
{
    public const int ChunkBytes = 1 << 20;

    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _returned = new(0);
    private readonly Stack<Chunk> _free = new();
    private readonly int _ceiling = (int)Math.Max(2, ceilingBytes / ChunkBytes);
    private int _allocated;
    private int _waiting;
    private int _peak;
    private int _lastPeak;
    private int _target;
    private bool _closed;

    public long CeilingBytes => (long)_ceiling * ChunkBytes;
    public long AllocatedBytes => (long)Volatile.Read(ref _allocated) * ChunkBytes;
    public long UsedBytes => AllocatedBytes - ((long)_free.Count * ChunkBytes);

    /// <summary>The most that was lent at once in the last period that is over.</summary>
    public long PeakBytes => (long)Volatile.Read(ref _lastPeak) * ChunkBytes;

    /// <summary>What <see cref="BufferSizing"/> last thought is needed; the pool gives back what is above it.</summary>
    public long TargetBytes => (long)Volatile.Read(ref _target) * ChunkBytes;

    /// <summary>How often a renter had to wait at the ceiling.</summary>
    public long Waits { get; private set; }

    /// <summary>Lends a chunk, growing up to the ceiling, or waits for one to come back.</summary>
    /// <exception cref="ObjectDisposedException">The pool was closed meanwhile.</exception>
    public Chunk Rent()
    {
        while (true)
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_closed, this);
                if (TryLend() is { } chunk)
                {
                    return chunk;
                }
                _waiting++;
                Waits++;
            }
            _returned.Wait();
        }
    }

    /// <summary>At most half of the ceiling is lent.</summary>
    public bool HasRoom
    {
        get
        {
            lock (_lock)
            {
                return _allocated - _free.Count <= _ceiling / 2;
            }
        }
    }

    public void Return(Chunk chunk)
    {
        lock (_lock)
        {
            chunk.Used = 0;
            if (_closed)
            {
                chunk.Unmap();
                _allocated--;
                return;
            }
            _free.Push(chunk);
            if (_waiting > 0)
            {
                _waiting--;
                _returned.Release();
            }
        }
    }

    /// <summary>Gives memory back to the system down to what <paramref name="sizing"/> thinks is needed. Called once in a while.</summary>
    public void Shrink(BufferSizing sizing)
    {
        lock (_lock)
        {
            var keep = sizing.Keep(_peak);
            (_lastPeak, _target) = (_peak, keep);
            _peak = _allocated - _free.Count;
            while (_allocated > keep && _free.Count > 0)
            {
                _free.Pop().Unmap();
                _allocated--;
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            while (_free.TryPop(out var chunk))
            {
                chunk.Unmap();
                _allocated--;
            }
            _returned.Release(_waiting + 1);
        }
    }

    private Chunk? TryLend()
    {
        if (!_free.TryPop(out var chunk))
        {
            if (_allocated >= _ceiling)
            {
                return null;
            }
            chunk = new Chunk(MemoryMap.AllocateAnonymous(ChunkBytes));
            _allocated++;
        }
        _peak = Math.Max(_peak, _allocated - _free.Count);
        return chunk;
    }
}

/// <summary>
/// How many chunks to keep, from the peaks of recent periods: the largest of the last eight with a quarter in reserve. Growing is
/// immediate (the pool grows on demand), shrinking waits until eight quiet periods have passed, so that a load that comes and goes
/// does not pay for fresh memory inside a pause each time.
/// </summary>
public sealed class BufferSizing
{
    private const int Periods = 8;
    private const int LeastChunks = 4;
    private readonly int[] _peaks = new int[Periods];
    private int _next;

    /// <summary>Notes the peak of the period that ends now and says how many chunks to keep.</summary>
    public int Keep(int peakChunks)
    {
        _peaks[_next] = peakChunks;
        _next = (_next + 1) % Periods;
        var peak = _peaks.Max();
        return Math.Max(LeastChunks, peak + (peak / 4));
    }
}
