using Pollux.Replication.Pair;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>
/// Mirrors MovingDestination and IncomingMigration: a QEMU that waits, stopped, for the state of another host's. Word and stream come over two connections,
/// in any order.
/// </summary>
internal sealed class SimulatedArrival(World world, SimulatedKeeper keeper)
{
    private const double StreamWithinMs = 5_000;
    private readonly SimulatedProcess _process = keeper.Process;
    private Member? _source;
    private SimulatedMoveControl? _control;
    private ConnectionEnd? _data;
    private bool _isClosed;
    private bool _isOver;

    public bool IsListening { get; private set; }

    public void Listen() => IsListening = true;

    public void Dismiss(string why) => _control?.Tell(new PairEvent.Dismissed(why));

    public void Dispose()
    {
        if (!_isClosed)
        {
            (_isClosed, IsListening) = (true, false);
            _control?.Close();
            _data?.Close();
        }
    }

    public string? Objection(Member source, Member expected, bool isControl) => (isControl, this) switch
    {
        _ when expected != keeper.Me => $"this keeper is {keeper.Me}",
        _ when _isClosed => "this keeper is leaving",
        (true, _) => _source is null ? null : "there is a source already",
        _ when _source != source => "the connection for control comes first",
        _ => _data is null ? null : "there is a stream already",
    };

    public void Admit(Member source, ConnectionEnd end, bool isControl)
    {
        if (isControl)
        {
            _source = source;
            Report(new PairEvent.PrimaryConnected(source));
            _control = new SimulatedMoveControl(_process, end, message => Report((PairEvent)message), LoseSource);
            return;
        }
        _data = end;
        end.Received = Receive;
        end.Ended = why => Finish(new PairEvent.ArrivalFailed($"the stream broke: {why}"));
    }

    /// <summary>What is still under way from a source that is gone comes soon, or never.</summary>
    private void LoseSource(string why)
    {
        Report(new PairEvent.LinkDown(why));
        _process.After(StreamWithinMs, () => Finish(new PairEvent.ArrivalFailed("the rest of the stream does not come")));
    }

    private void Receive(object message)
    {
        if (message is GuestState state && !_isOver)
        {
            _isOver = true;
            _process.After(5 + (world.Random.NextDouble() * 40), () => Load(state));
        }
    }

    private void Load(GuestState state)
    {
        if (keeper.RefusesState || !keeper.Qemu!.IsAlive)
        {
            _data!.Close();
            Report(new PairEvent.ArrivalFailed("QEMU refuses the state"));
            return;
        }
        keeper.Qemu.Arrive(state.From, state.Guest);
        Report(new PairEvent.Arrived());
    }

    private void Finish(PairEvent e)
    {
        if (!_isOver)
        {
            _isOver = true;
            Report(e);
        }
    }

    private void Report(PairEvent e)
    {
        if (!_isClosed)
        {
            keeper.Post(e);
        }
    }
}
