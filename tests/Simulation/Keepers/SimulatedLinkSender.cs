using Pollux.Core;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>A checkpoint on its way: what the guest had gone through at the cut, and its size.</summary>
internal sealed class ShippedEpoch(Epoch epoch, long bytes)
{
    public Epoch Epoch => epoch;
    public long BytesLeft { get; set; } = bytes;
    public History? AtCut { get; set; }
    public bool IsComplete { get; set; }
    public bool HasSaid { get; set; }
}

/// <summary>A part of an epoch, without meaning of its own.</summary>
internal sealed record EpochPiece(Epoch Epoch);

/// <summary>The end of an epoch: from here on it is whole.</summary>
internal sealed record WholeEpoch(Epoch Epoch, History AtCut);

/// <summary>Frames that the guest sent in an epoch and that are held; comes just before the epoch's end.</summary>
internal sealed record EpochSaid(Epoch Epoch, IReadOnlyList<History> Frames);

/// <summary>Mirrors <see cref="Pollux.Replication.Link.LinkSender"/>: what is urgent goes before the next piece of an epoch.</summary>
internal sealed class SimulatedLinkSender
{
    private const long PieceBytes = 1 << 20;
    private readonly ConnectionEnd _end;
    private readonly SimulatedThread _thread;
    private readonly Action<long> _sent;
    private readonly Func<Epoch, IReadOnlyList<History>>? _held;
    private readonly Queue<object> _urgent = new();
    private readonly Queue<ShippedEpoch> _epochs = new();
    private bool _isAwake;
    private bool _finish;

    /// <param name="sent">Bytes of an epoch that are given back to the pool.</param>
    /// <param name="held">The frames that are held of an epoch.</param>
    public SimulatedLinkSender(SimulatedProcess process, ConnectionEnd end, Action<long> sent, Func<Epoch, IReadOnlyList<History>>? held = null)
    {
        (_end, _sent, _held) = (end, sent, held);
        _thread = process.NewThread();
        end.Drained = Wake;
    }

    public bool IsClosed { get; private set; }

    public void Post(object message)
    {
        _urgent.Enqueue(message);
        Wake();
    }

    public void Ship(ShippedEpoch epoch)
    {
        _epochs.Enqueue(epoch);
        Wake();
    }

    public void Wake()
    {
        if (!_isAwake && !IsClosed)
        {
            _isAwake = true;
            _thread.Soon(Send);
        }
    }

    /// <summary>Sends what is urgent, then closes; at most <paramref name="patienceMs"/> long.</summary>
    public void FinishUrgent(SimulatedProcess process, double patienceMs)
    {
        _finish = true;
        Wake();
        process.After(patienceMs, Close);
    }

    public void Close()
    {
        if (!IsClosed)
        {
            IsClosed = true;
            _sent(_epochs.Sum(e => e.BytesLeft));
            _epochs.Clear();
            _end.Close();
        }
    }

    private void Send()
    {
        _isAwake = false;
        while (!IsClosed && _end.HasRoom)
        {
            if (_urgent.TryDequeue(out var urgent))
            {
                _end.Send(urgent, 64);
            }
            else if (_finish)
            {
                Close();
            }
            else if (!_epochs.TryPeek(out var epoch) || !SendPiece(epoch))
            {
                return;
            }
        }
    }

    private bool SendPiece(ShippedEpoch epoch)
    {
        if (epoch.BytesLeft > 0)
        {
            var bytes = Math.Min(PieceBytes, epoch.BytesLeft);
            epoch.BytesLeft -= bytes;
            _end.Send(new EpochPiece(epoch.Epoch), bytes);
            _sent(bytes);
            return true;
        }
        if (!epoch.IsComplete)
        {
            return false;
        }
        if (!epoch.HasSaid)
        {
            epoch.HasSaid = true;
            _end.Send(new EpochSaid(epoch.Epoch, _held!(epoch.Epoch)), 64);
            return true;
        }
        _epochs.Dequeue();
        _end.Send(new WholeEpoch(epoch.Epoch, epoch.AtCut!), 64);
        return true;
    }
}
