using Pollux.Simulation.Hosts;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>Mirrors MoveControl: what two keepers say to each other beside the stream, with a beat every second; who is silent for five counts as gone.</summary>
internal sealed class SimulatedMoveControl
{
    private const double BeatEveryMs = 1_000;
    private const double SilenceMs = 5_000;
    private static readonly object Beat = new();
    private readonly SimulatedProcess _process;
    private readonly ConnectionEnd _end;
    private readonly Action<string> _ended;
    private double _heardMs;
    private bool _isOver;

    public SimulatedMoveControl(SimulatedProcess process, ConnectionEnd end, Action<object> hear, Action<string> ended)
    {
        (_process, _end, _ended, _heardMs) = (process, end, ended, process.Host.NowMs);
        end.Received = message =>
        {
            _heardMs = process.Host.NowMs;
            if (!_isOver && !ReferenceEquals(message, Beat))
            {
                hear(message);
            }
        };
        end.Ended = End;
        SendBeat();
    }

    public void Tell(object message) => _end.Send(message, 500);

    public void Close()
    {
        _isOver = true;
        _end.Close();
    }

    private void SendBeat()
    {
        if (_isOver)
        {
            return;
        }
        if (_process.Host.NowMs - _heardMs > SilenceMs)
        {
            End("nothing was heard for 5 s");
            return;
        }
        _end.Send(Beat, 32);
        _process.After(BeatEveryMs, SendBeat);
    }

    private void End(string why)
    {
        if (!_isOver)
        {
            _isOver = true;
            _ended(why);
        }
    }
}
