using Pollux.Core;

namespace Pollux.Replication.Network;

/// <summary>Where released frames go.</summary>
public interface IFrameOutput
{
    /// <summary>Puts one Ethernet frame on the network of NIC <paramref name="nic"/>; a frame that the network does not take is lost, as on any wire.</summary>
    void Send(int nic, ReadOnlySpan<byte> frame);
}

/// <summary>
/// The output commit (rule 4): every frame of the guest passes here, in one order over all NICs, and leaves only when the pair's
/// machine says so. It begins shut. A full ring makes the reader of the NIC wait, which stops the guest's transmit queue: held output is bounded
/// and nothing is dropped.
/// </summary>
public sealed class EgressGate(IFrameOutput output, int capacityBytes = EgressGate.DefaultBytes) : IDisposable
{
    public const int DefaultBytes = 16 << 20;

    private enum Mode
    {
        /// <summary>The guest is nobody yet: what it says is held, and never released but by <see cref="Pass"/>.</summary>
        Hold,
        Pass,
        Closed,
    }

    private readonly object _lock = new();
    private readonly FrameRing _ring = new(capacityBytes);
    private Mode _mode = Mode.Hold;
    private Epoch _open = Epoch.None;
    private long _heldInOpen;

    public long Released { get; private set; }
    public long Held => _ring.Frames;

    /// <summary>Held frames whose epoch is still open: they wait for a cut.</summary>
    public long HeldInOpenEpoch => Volatile.Read(ref _heldInOpen);

    /// <summary>Called (under the gate's lock, must be quick) when the first frame of an open epoch is held.</summary>
    public Action? FrameWaits { get; set; }

    /// <summary>Called (under the gate's lock, must be quick) for each frame that leaves.</summary>
    public Action<int, ReadOnlySpan<byte>>? FrameLeaves { get; set; }

    /// <summary>From now on frames are held; they belong to <paramref name="open"/>.</summary>
    public void Hold(Epoch open)
    {
        lock (_lock)
        {
            _open = open;
            _heldInOpen = 0;
            if (_mode != Mode.Closed)
            {
                _mode = Mode.Hold;
            }
        }
    }

    /// <summary>The next epoch opens. Frames read later belong to it, which is late at worst: a stopped guest sends nothing.</summary>
    public void Open(Epoch epoch)
    {
        lock (_lock)
        {
            _open = epoch;
            _heldInOpen = 0;
        }
    }

    /// <summary>Takes a frame of the guest. False when it must wait for room: call <see cref="WaitForRoom"/> and offer it again.</summary>
    public bool TryOffer(int nic, ReadOnlySpan<byte> frame)
    {
        lock (_lock)
        {
            switch (_mode)
            {
                case Mode.Pass:
                    SendOut(nic, frame);
                    return true;
                case Mode.Closed:
                    return true;
                default:
                    if (!_ring.TryPut(_open, nic, frame))
                    {
                        return false;
                    }
                    if (_heldInOpen++ == 0)
                    {
                        FrameWaits?.Invoke();
                    }
                    return true;
            }
        }
    }

    /// <summary>Waits a little for room in the ring.</summary>
    public void WaitForRoom(int timeoutMs)
    {
        lock (_lock)
        {
            Monitor.Wait(_lock, timeoutMs);
        }
    }

    /// <summary>
    /// Copies what is held of one epoch, oldest first, into <paramref name="batch"/> (a <see cref="Pollux.Wire.Replication.FrameBatch"/>), as much as has
    /// room; returns its bytes.
    /// </summary>
    public int CopyHeld(Epoch epoch, Span<byte> batch)
    {
        lock (_lock)
        {
            return _mode == Mode.Hold ? _ring.CopyTo(batch, epoch) : 0;
        }
    }

    /// <summary>Lets the frames of all epochs up to <paramref name="epoch"/> out.</summary>
    /// <param name="may">Asked before each frame: a host may stand still between two of them, and be replaced before it goes on. What stays is held as before.</param>
    public void Release(Epoch epoch, Func<bool> may)
    {
        lock (_lock)
        {
            while (_mode == Mode.Hold && _ring.TryPeek(out var of, out var nic, out var frame) && of <= epoch && may())
            {
                SendOut(nic, frame);
                _ring.Drop();
            }
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Lets everything out, in order, and holds nothing any more.</summary>
    public void Pass()
    {
        lock (_lock)
        {
            if (_mode == Mode.Closed)
            {
                return;
            }
            while (_ring.TryPeek(out _, out var nic, out var frame))
            {
                SendOut(nic, frame);
                _ring.Drop();
            }
            _mode = Mode.Pass;
            _heldInOpen = 0;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Discards what is held and everything that comes: this guest is nobody any more.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _mode = Mode.Closed;
            _ring.Clear();
            Monitor.PulseAll(_lock);
        }
    }

    public void Dispose()
    {
        Close();
        lock (_lock)
        {
            _ring.Dispose();
        }
    }

    private void SendOut(int nic, ReadOnlySpan<byte> frame)
    {
        output.Send(nic, frame);
        Released++;
        FrameLeaves?.Invoke(nic, frame);
    }
}
