using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Network;
using Pollux.Replication.Shipping;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Link;

/// <summary>
/// The one thread that writes to the data link. Between any two chunks of epochs it first sends what is urgent: control frames, then
/// copies of ingress frames, so that neither waits behind a large epoch.
/// </summary>
public sealed class LinkSender : IDisposable
{
    /// <summary>More control frames than this waiting means that the link does not move: it counts as down.</summary>
    private const int MaxUrgent = 4096;

    private readonly FrameStream _frames;
    private readonly EpochFrames _pieces;
    private readonly ChunkPool? _pool;
    private readonly IngressCopies? _ingress;
    private readonly EgressCopies? _egress;
    private readonly Action<string> _failed;
    private readonly EpochEncoder? _encoder;
    private readonly object _lock = new();
    private readonly Queue<(FrameType Type, long Epoch, byte[] Payload)> _urgent = new();
    private readonly Queue<EpochBuffer> _epochs = new();
    private readonly Thread _thread;
    private ShippingCounts _counts;
    private bool _closed;
    private bool _finish;

    /// <param name="pieces">Writes what epochs are made of. This object's own from now on.</param>
    /// <param name="failed">Called once, from the thread, when the link cannot be written any more.</param>
    /// <param name="encoder">Makes epochs smaller; null: they are sent as they were captured. This object's own from now on.</param>
    /// <param name="egress">Held frames that go along with their epoch; null: none do.</param>
    public LinkSender(
        EpochFrames pieces, string name, ChunkPool? pool, IngressCopies? ingress, Action<string> failed, EpochEncoder? encoder = null, EgressCopies? egress = null)
    {
        (_pieces, _frames) = (pieces, pieces.Frames);
        (_pool, _ingress, _failed, _encoder, _egress) = (pool, ingress, failed, encoder, egress);
        _thread = new Thread(Run) { IsBackground = true, Name = $"{name} link out" };
        _thread.Start();
    }

    /// <summary>What became of the RAM of epochs after the first copy.</summary>
    public ShippingCounts Counts => _encoder?.Counts ?? _counts;

    /// <summary>The pieces of epochs, as they went over the link.</summary>
    public EpochFrames Pieces => _pieces;

    /// <summary>Nothing is sent any more; what is shipped stays the shipper's.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_lock)
            {
                return _closed;
            }
        }
    }

    public void Post(FrameType type, long epoch, byte[] payload)
    {
        lock (_lock)
        {
            _urgent.Enqueue((type, epoch, payload));
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Hands an epoch over. It may still be filling; <see cref="Wake"/> says that there is more of it.</summary>
    public void Ship(EpochBuffer epoch)
    {
        lock (_lock)
        {
            _epochs.Enqueue(epoch);
            Monitor.PulseAll(_lock);
        }
    }

    public void Wake()
    {
        lock (_lock)
        {
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Sends what is urgent, then closes; at most <paramref name="patience"/> long.</summary>
    public void FinishUrgent(TimeSpan patience)
    {
        lock (_lock)
        {
            _finish = true;
            Monitor.PulseAll(_lock);
        }
        if (Thread.CurrentThread != _thread)
        {
            _thread.Join(patience);
        }
        Dispose();
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }
        _frames.Dispose();
    }

    private void Run()
    {
        try
        {
            while (NextStep())
            {
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or PolluxException)
        {
            bool closed;
            lock (_lock)
            {
                closed = _closed;
            }
            if (!closed)
            {
                _failed(e.Message);
            }
        }
        finally
        {
            ReturnAll();
            _encoder?.Dispose();
            _pieces.Dispose();
        }
    }

    /// <summary>Sends one thing, the most urgent; waits when there is none. False at the end.</summary>
    private bool NextStep()
    {
        (FrameType Type, long Epoch, byte[] Payload) urgent;
        EpochBuffer? epoch = null;
        Chunk? chunk = null;
        FrameType type = default;
        IngressCopies.Batch? batch = null;
        lock (_lock)
        {
            while (true)
            {
                if (_closed || _urgent.Count > MaxUrgent)
                {
                    return _closed ? false : throw new IOException($"{_urgent.Count} control frames wait: the link does not move");
                }
                if (_urgent.TryDequeue(out urgent))
                {
                    break;
                }
                if (_finish)
                {
                    return false;
                }
                if ((batch = _ingress?.Take()) is not null)
                {
                    break;
                }
                if (_epochs.TryPeek(out epoch) && TakeFrom(epoch, out chunk, out type))
                {
                    break;
                }
                Monitor.Wait(_lock);
            }
        }
        if (urgent.Payload is not null)
        {
            _frames.Write(urgent.Type, urgent.Epoch, urgent.Payload);
        }
        else if (batch is not null)
        {
            try
            {
                _frames.Write(FrameType.Ingress, batch.Epoch.Value, batch.Bytes.AsSpan(0, batch.Used));
            }
            finally
            {
                _ingress!.Return(batch);
            }
        }
        else
        {
            SendPiece(epoch!, chunk, type);
        }
        return true;
    }

    /// <summary>What comes next of an epoch: a chunk, or its end (null chunk, type EpochEnd). False: it is still filling.</summary>
    private static bool TakeFrom(EpochBuffer epoch, out Chunk? chunk, out FrameType type)
    {
        var complete = epoch.IsComplete; // read first: nothing is added after it
        if ((chunk = epoch.TakeRam()) is not null)
        {
            type = FrameType.Ram;
            return true;
        }
        if (complete && (chunk = epoch.TakeDevice()) is not null)
        {
            type = FrameType.DeviceState;
            return true;
        }
        type = FrameType.EpochEnd;
        return complete;
    }

    private void SendPiece(EpochBuffer epoch, Chunk? chunk, FrameType type)
    {
        if (chunk is null)
        {
            if (epoch.Scrub is { } sample)
            {
                _frames.Write(FrameType.Scrub, epoch.Epoch.Value, sample);
            }
            if (_egress is not null && _egress.Copy(epoch.Epoch) is { IsEmpty: false } held)
            {
                _frames.Write(FrameType.Egress, epoch.Epoch.Value, held);
            }
            Span<byte> end = stackalloc byte[EpochEnd.Bytes];
            new EpochEnd(_encoder is not null && epoch.Epoch.Value > 0 ? _encoder.Finish() : epoch.RamBytes, epoch.DeviceBytes).Write(end);
            _frames.Write(type, epoch.Epoch.Value, end);
            lock (_lock)
            {
                _epochs.Dequeue();
            }
            return;
        }
        try
        {
            if (type == FrameType.Ram && _encoder is not null && epoch.Epoch.Value > 0)
            {
                _encoder.Encode(epoch.Epoch, chunk.Filled);
                return;
            }
            _pieces.Write(type, epoch.Epoch.Value, chunk.Filled);
            if (type == FrameType.Ram && epoch.Epoch.Value == 0)
            {
                _encoder?.First(chunk.Filled);
            }
            else if (type == FrameType.Ram)
            {
                _counts.CapturedBytes += chunk.Used;
                _counts.ShippedBytes += chunk.Used;
            }
        }
        finally
        {
            _pool!.Return(chunk);
        }
    }

    private void ReturnAll()
    {
        lock (_lock)
        {
            _closed = true;
            while (_epochs.TryDequeue(out var epoch))
            {
                // One that is still being filled is its filler's.
                if (epoch.IsComplete)
                {
                    epoch.Return();
                }
            }
        }
    }
}
