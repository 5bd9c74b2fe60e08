using Pollux.Core;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Network;

/// <summary>
/// Copies of the frames that reach the guest, on their way to the standby, which replays those of uncommitted epochs after a takeover:
/// for the guest they are merely late, and the client need not wait for its own retransmission.
/// When the standby cannot keep up, copies are dropped and counted: a replay is a courtesy, never a promise.
/// </summary>
public sealed class IngressCopies
{
    /// <summary>Frames of one epoch on their way, in the form of <see cref="FrameBatch"/>.</summary>
    public sealed class Batch
    {
        public Epoch Epoch { get; internal set; }
        public int Used;
        public byte[] Bytes { get; } = new byte[BatchBytes];
    }

    private const int BatchBytes = 128 << 10;
    private const int MaxBatches = 16;

    private readonly Lock _lock = new();
    private readonly Queue<Batch> _waiting = new();
    private readonly Stack<Batch> _free = new();
    private Batch? _last;
    private Epoch _open = Epoch.None;
    private int _batches;

    public long Dropped { get; private set; }

    /// <summary>Copies are made only while an epoch is open.</summary>
    public bool IsOpen
    {
        get
        {
            lock (_lock)
            {
                return _open != Epoch.None;
            }
        }
    }

    /// <summary>The next epoch begins: what follows belongs to it.</summary>
    public void Open(Epoch epoch)
    {
        lock (_lock)
        {
            _open = epoch;
            _last = null;
        }
    }

    public void Close()
    {
        lock (_lock)
        {
            _open = Epoch.None;
            _last = null;
            while (_waiting.TryDequeue(out var batch))
            {
                _free.Push(batch);
            }
        }
    }

    /// <summary>False when no epoch is open or there is no room.</summary>
    public bool Add(int nic, ReadOnlySpan<byte> frame)
    {
        lock (_lock)
        {
            if (_open == Epoch.None)
            {
                return false;
            }
            return Append(nic, frame);
        }
    }

    /// <summary>The oldest batch, or null. The taker returns it.</summary>
    public Batch? Take()
    {
        lock (_lock)
        {
            if (!_waiting.TryDequeue(out var batch))
            {
                return null;
            }
            if (ReferenceEquals(batch, _last))
            {
                _last = null;
            }
            return batch;
        }
    }

    public void Return(Batch batch)
    {
        lock (_lock)
        {
            _free.Push(batch);
        }
    }

    private bool Append(int nic, ReadOnlySpan<byte> frame)
    {
        if (_last is not null && FrameBatch.TryAppend(_last.Bytes, ref _last.Used, nic, frame))
        {
            return true;
        }
        if (!_free.TryPop(out _last))
        {
            if (_batches == MaxBatches)
            {
                Dropped++;
                return false;
            }
            _batches++;
            _last = new Batch();
        }
        _last.Used = 0;
        _last.Epoch = _open;
        _waiting.Enqueue(_last);
        return FrameBatch.TryAppend(_last.Bytes, ref _last.Used, nic, frame);
    }
}

/// <summary>
/// The standby's side: frames of epochs that are not committed yet, in order, bounded; the oldest go first when it is full.
/// </summary>
public sealed class IngressLog
{
    private const int MaxBytes = 8 << 20;
    private readonly Lock _lock = new();
    private readonly Queue<(Epoch Epoch, byte[] Batch)> _batches = new();
    private long _bytes;

    public void Add(Epoch epoch, byte[] batch)
    {
        lock (_lock)
        {
            _batches.Enqueue((epoch, batch));
            _bytes += batch.Length;
            while (_bytes > MaxBytes)
            {
                _bytes -= _batches.Dequeue().Batch.Length;
            }
        }
    }

    /// <summary>Forgets what the commit of <paramref name="epoch"/> contains.</summary>
    public void Committed(Epoch epoch)
    {
        lock (_lock)
        {
            while (_batches.TryPeek(out var first) && first.Epoch <= epoch)
            {
                _bytes -= _batches.Dequeue().Batch.Length;
            }
        }
    }

    /// <summary>Takes everything that came after <paramref name="epoch"/>, in order.</summary>
    public IReadOnlyList<byte[]> TakeAfter(Epoch epoch)
    {
        Committed(epoch);
        lock (_lock)
        {
            var batches = _batches.Select(b => b.Batch).ToList();
            _batches.Clear();
            _bytes = 0;
            return batches;
        }
    }
}
