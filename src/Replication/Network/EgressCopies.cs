using Pollux.Core;

namespace Pollux.Replication.Network;

/// <summary>
/// Copies of held frames, on their way to the standby with the epoch in which the guest sent them. A guest that is taken over after that epoch
/// believes that it has sent them; when the primary died before it let them out, they would be missed until the guest's own retransmission.
/// Copied by the link's thread just before the epoch's end, while they are surely still held: it costs the guest's pause nothing. What does
/// not fit into a batch is not copied: it is a courtesy, never a promise.
/// </summary>
public sealed class EgressCopies(EgressGate gate)
{
    private const int BatchBytes = 128 << 10;
    private readonly byte[] _batch = new byte[BatchBytes];

    /// <summary>The held frames of one epoch as a <see cref="Wire.Replication.FrameBatch"/>. Valid until the next call.</summary>
    public ReadOnlySpan<byte> Copy(Epoch epoch) => _batch.AsSpan(0, gate.CopyHeld(epoch, _batch));
}

/// <summary>
/// The standby's side: the frames of the last epochs, which a takeover says again, since the primary may have died before it let them out. The
/// world may then hear a frame twice, which every network may do. Frames of an epoch later than the one taken are never said: the guest that
/// sent them is gone.
/// </summary>
public sealed class EgressLog
{
    /// <summary>
    /// The primary cuts no epoch before the second last is acknowledged, and with that its frames are out; but for one that was late and must
    /// read the role first, whose frames are left to the guest's own retransmission.
    /// </summary>
    public const int Epochs = 2;

    /// <summary>One for each epoch that is kept or on its way; more than that only a broken primary sends.</summary>
    private const int MostBatches = 16;

    private readonly Lock _lock = new();
    private readonly Queue<(Epoch Epoch, byte[] Batch)> _batches = new();

    public void Add(Epoch epoch, byte[] batch)
    {
        lock (_lock)
        {
            _batches.Enqueue((epoch, batch));
            if (_batches.Count > MostBatches)
            {
                _batches.Dequeue();
            }
        }
    }

    /// <summary>Everything up to <paramref name="epoch"/> is committed: frames that are out by now are forgotten.</summary>
    public void Committed(Epoch epoch)
    {
        lock (_lock)
        {
            while (_batches.TryPeek(out var first) && first.Epoch.Value <= epoch.Value - Epochs)
            {
                _batches.Dequeue();
            }
        }
    }

    /// <summary>Takes what the guest as it was at the end of <paramref name="epoch"/> had said last, in order.</summary>
    public IReadOnlyList<byte[]> TakeUpTo(Epoch epoch)
    {
        Committed(epoch);
        lock (_lock)
        {
            var batches = _batches.Where(b => b.Epoch <= epoch).Select(b => b.Batch).ToList();
            _batches.Clear();
            return batches;
        }
    }
}
