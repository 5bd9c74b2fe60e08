using System.Diagnostics;
using Pollux.Core;

namespace Pollux.Replication.Network;

/// <summary>
/// Frames that reach a standby's port before its guest runs: when the primary's host loses power the switch forgets its port and sends what
/// is for the guest everywhere. Those of the last moments are given to the guest once it runs; otherwise each would cost its sender a retransmission.
/// </summary>
public sealed class EarlyFrames : IDisposable
{
    /// <summary>A question about one Ethernet frame.</summary>
    public delegate bool FrameTest(ReadOnlySpan<byte> frame);

    private const int CapacityBytes = 256 << 10;
    private static readonly long MaxAge = Stopwatch.Frequency; // 1 s: longer than a takeover, shorter than anyone's patience

    private readonly Lock _lock = new();
    private readonly FrameRing _ring = new(CapacityBytes);
    private volatile bool _isOver;

    /// <summary>Keeps a frame; false when the guest runs and takes its frames itself.</summary>
    public bool TryKeep(int nic, ReadOnlySpan<byte> frame)
    {
        if (_isOver)
        {
            return false;
        }
        lock (_lock)
        {
            if (_isOver)
            {
                return false;
            }
            var now = new Epoch(Stopwatch.GetTimestamp());
            while (!_ring.TryPut(now, nic, frame))
            {
                _ring.Drop();
            }
            return true;
        }
    }

    /// <summary>The guest runs: gives what is not too old, in order, and keeps nothing more. Frames that come meanwhile wait.</summary>
    /// <param name="isOwn">It is the guest's own: its broadcasts reach its standby's port too.</param>
    public void HandOver(FrameTest isOwn, Action<ReadOnlySpan<byte>> give)
    {
        lock (_lock)
        {
            var oldest = Stopwatch.GetTimestamp() - MaxAge;
            for (; _ring.TryPeek(out var at, out _, out var frame); _ring.Drop())
            {
                if (at.Value >= oldest && !isOwn(frame))
                {
                    give(frame);
                }
            }
            End();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            End();
        }
    }

    private void End()
    {
        if (!_isOver)
        {
            _isOver = true;
            _ring.Dispose();
        }
    }
}
