using Pollux.Simulation.Hosts;

namespace Pollux.Simulation.Network;

/// <summary>
/// A TCP connection between two processes. Each end's kernel takes what is sent and passes it on in order, as fast as the network allows;
/// it holds it back while the network is cut, and keeps it for a reader that is frozen. A process that dies closes its end; a host that loses
/// power says nothing, and its partner waits for ever.
/// </summary>
internal sealed class SimulatedConnection
{
    public SimulatedConnection(SimulatedNetwork network, SimulatedProcess dialer, SimulatedProcess listener)
    {
        Dialer = new ConnectionEnd(network, dialer);
        Listener = new ConnectionEnd(network, listener);
        Dialer.Peer = Listener;
        Listener.Peer = Dialer;
        dialer.Died += Dialer.OwnerDied;
        listener.Died += Listener.OwnerDied;
    }

    public ConnectionEnd Dialer { get; }
    public ConnectionEnd Listener { get; }
    public required bool IsHeartbeat { get; init; }
    public bool IsOver => Dialer.IsClosed && Listener.IsClosed;

    public void BeginCut(SimulatedHost from)
    {
        Dialer.BeginCut(from);
        Listener.BeginCut(from);
    }

    /// <summary>Each end fails, sooner or later; what was under way is lost. Or only one does, and the other one hears of it when it sends.</summary>
    public void Break()
    {
        Dialer.Lose();
        Listener.Lose();
        var which = Dialer.Random.Next(4);
        if (which != 0)
        {
            Dialer.Fail("connection reset");
        }
        if (which != 1)
        {
            Listener.Fail("connection reset");
        }
    }

    public void PowerOff(SimulatedHost host)
    {
        Dialer.PowerOff(host);
        Listener.PowerOff(host);
    }

    public void Move()
    {
        Dialer.Move();
        Listener.Move();
    }
}

/// <summary>One end of a connection, and the way from it to the other end.</summary>
internal sealed class ConnectionEnd(SimulatedNetwork network, SimulatedProcess owner)
{
    /// <summary>What a socket's send buffer and the peer's receive buffer hold.</summary>
    private const long WindowBytes = 4 << 20;
    private static readonly object Fin = new();

    private readonly Queue<(object Message, long Bytes)> _unsent = new();
    private readonly SimulatedThread _reader = owner.NewThread();
    private readonly int _boot = owner.Host.Boot;
    private long _unsentBytes;
    private bool _isMoving;
    private double _lastArrivalMs;
    private int _graceLeft;
    private int _losses;
    private string? _end;
    private Action<string>? _ended;

    public ConnectionEnd Peer { get; set; } = null!;
    public SimulatedProcess Owner => owner;
    public Random Random => network.Random;

    /// <summary>This end sends nothing and hears nothing any more.</summary>
    public bool IsClosed { get; private set; }
    public bool HasRoom => _unsentBytes < WindowBytes;

    /// <summary>On this end's reading thread.</summary>
    public Action<object>? Received { get; set; }

    /// <summary>Also told to one who asks after the end.</summary>
    public Action<string>? Ended
    {
        set
        {
            _ended = value;
            if (_end is { } why)
            {
                _reader.Soon(() => value?.Invoke(why));
            }
        }
    }

    /// <summary>There is room again.</summary>
    public Action? Drained { get; set; }

    public void Send(object message, long bytes)
    {
        if (!IsClosed)
        {
            _unsent.Enqueue((message, bytes));
            _unsentBytes += bytes;
            Move();
        }
    }

    /// <summary>What was sent still arrives, then the end.</summary>
    public void Close()
    {
        if (!IsClosed)
        {
            _unsent.Enqueue((Fin, 0));
            IsClosed = true;
            Move();
        }
    }

    public void OwnerDied()
    {
        if (!owner.Host.IsOn || _boot != owner.Host.Boot)
        {
            IsClosed = true;
            return;
        }
        if (network.Random.Next(2) == 0)
        {
            // Unread bytes in the socket: the kernel resets and throws away what was not sent.
            _unsent.Clear();
            _unsentBytes = 0;
        }
        Close();
    }

    public void PowerOff(SimulatedHost host)
    {
        if (owner.Host == host)
        {
            Lose();
            IsClosed = true;
        }
    }

    public void BeginCut(SimulatedHost from)
    {
        // The other way goes on for a few packets, until acknowledgements are missed.
        if (owner.Host != from)
        {
            _graceLeft = network.Random.Next(12);
        }
    }

    public void Lose()
    {
        _unsent.Clear();
        _unsentBytes = 0;
        _losses++;
    }

    public void Fail(string why)
    {
        IsClosed = true;
        Tell(why);
    }

    /// <summary>Passes on what can be passed on.</summary>
    public void Move()
    {
        if (_isMoving || _unsent.Count == 0 || !CanMove())
        {
            return;
        }
        _isMoving = true;
        var bytes = _unsent.Peek().Bytes;
        var losses = _losses;
        network.Time.After(bytes / network.BytesPerMs(owner.Host, Peer.Owner.Host), () => Moved(losses));
    }

    private bool CanMove()
    {
        var (here, there) = (owner.Host, Peer.Owner.Host);
        if (!network.Passes(here, there))
        {
            return false;
        }
        return network.Passes(there, here) || _graceLeft-- > 0;
    }

    private void Moved(int losses)
    {
        _isMoving = false;
        if (losses != _losses)
        {
            Move();
            return;
        }
        if (!CanMove() || !_unsent.TryDequeue(out var next))
        {
            return;
        }
        _unsentBytes -= next.Bytes;
        _lastArrivalMs = Math.Max(_lastArrivalMs, network.Time.NowMs + network.LatencyMs());
        network.Time.At(_lastArrivalMs, () =>
        {
            if (losses == _losses)
            {
                Arrive(next.Message);
            }
        });
        Drained?.Invoke();
        Move();
    }

    private void Arrive(object message)
    {
        if (!Peer.Owner.Host.IsOn)
        {
            return;
        }
        if (Peer.IsClosed)
        {
            // Nobody is there any more, or its host has forgotten the connection: a reset comes back.
            if (!IsClosed && network.Passes(Peer.Owner.Host, owner.Host))
            {
                Fail("connection reset");
            }
            return;
        }
        if (ReferenceEquals(message, Fin))
        {
            Peer.Tell("closed");
            return;
        }
        Peer._reader.Soon(() => Peer.Take(message));
    }

    private void Take(object message)
    {
        if (_end is null && !IsClosed)
        {
            Received?.Invoke(message);
        }
    }

    private void Tell(string why) => _reader.Soon(() =>
    {
        if (_end is null)
        {
            _end = why;
            _ended?.Invoke(why);
        }
    });
}
