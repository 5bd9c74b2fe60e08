using System.Buffers.Binary;
using Pollux.Core;
using Pollux.Replication.Link;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;
using Pollux.Simulation.Network;

namespace Pollux.Simulation.Keepers;

/// <summary>
/// Mirrors StandbyService, EpochReceiver and StandbySide: lets one primary in, holds what is whole, applies what was acknowledged, in order,
/// and brings the image to exactly one epoch for a takeover.
/// </summary>
internal sealed class SimulatedStandby(World world, SimulatedKeeper keeper)
{
    private readonly SimulatedProcess _process = keeper.Process;
    private readonly SimulatedThread _applier = keeper.Process.NewThread();
    private readonly Dictionary<Epoch, History> _whole = [];
    private readonly EgressLog _egress = new();
    private readonly List<History> _said = [];
    private SimulatedLinkSender? _sender;
    private SimulatedHeartbeat? _heartbeat;
    private ConnectionEnd? _data;
    private Member? _primary;
    private Epoch _applied = Epoch.None;
    private Epoch _applyUpTo = Epoch.None;
    private Epoch _lastWhole = Epoch.None;
    private bool _hasPart;
    private bool _isApplying;
    private Action? _appliedEnough;

    public bool IsListening { get; private set; }
    private bool IsClosed { get; set; }

    public void Listen() => IsListening = true;

    public void Acknowledge(Epoch epoch)
    {
        world.Checker.Acknowledged(keeper, epoch, _whole.GetValueOrDefault(epoch));
        _sender?.Post(new PairEvent.Acknowledged(epoch));
        _egress.Committed(epoch);
        _applyUpTo = epoch;
        Apply();
    }

    /// <summary>What the guest as it was at the end of <paramref name="epoch"/> had said last.</summary>
    public IReadOnlyList<History> SaidUpTo(Epoch epoch) =>
        [.. _egress.TakeUpTo(epoch).Select(said => _said[BinaryPrimitives.ReadInt32LittleEndian(said)])];

    public void Dismiss(string why) => _sender?.Post(new PairEvent.Dismissed(why));

    /// <summary>Waits until the image holds <paramref name="epoch"/>, closes the link, and gives the guest as it was then.</summary>
    public void Seal(Epoch epoch, Action<History> then)
    {
        _applyUpTo = epoch;
        _appliedEnough = () =>
        {
            if (_applied >= epoch)
            {
                _appliedEnough = null;
                Dispose();
                then(_whole[_applied]);
            }
        };
        Apply();
        _appliedEnough?.Invoke();
    }

    public void Dispose()
    {
        if (IsClosed)
        {
            return;
        }
        (IsClosed, IsListening) = (true, false);
        if (_hasPart)
        {
            world.Coverage.Add(Seen.PartOfAnEpochThrownAway);
        }
        _heartbeat?.Dispose();
        _sender?.FinishUrgent(_process, 100);
    }

    public string? Objection(Member primary, Member expected, bool isHeartbeat) => (isHeartbeat, this) switch
    {
        _ when expected != keeper.Me => $"this keeper is {keeper.Me}",
        _ when IsClosed => "this standby is leaving",
        (false, { _data: not null }) => "there is a primary already",
        (true, { _heartbeat: not null }) => "the data connection comes first",
        (true, _) when _primary != primary => "the data connection comes first",
        _ => null,
    };

    public void Admit(Member primary, ConnectionEnd end, bool isHeartbeat)
    {
        if (isHeartbeat)
        {
            _heartbeat = new SimulatedHeartbeat(_process, end, world.Settings.HeartbeatMs, world.Settings.DetectionMs, Judge);
            _heartbeat.Start();
            return;
        }
        (_primary, _data) = (primary, end);
        _sender = new SimulatedLinkSender(_process, end, _ => { });
        Report(new PairEvent.PrimaryConnected(primary));
        end.Received = Hear;
        end.Ended = why => Report(new PairEvent.LinkDown(why));
    }

    private void Hear(object message)
    {
        switch (message)
        {
            case EpochPiece piece:
                _hasPart = true;
                world.Checker.Promise(piece.Epoch == _lastWhole.Next, Promise.LinkInOrder, $"a piece of epoch {piece.Epoch} follows epoch {_lastWhole}");
                break;
            case EpochSaid said:
                Keep(said);
                break;
            case WholeEpoch whole:
                _hasPart = false;
                world.Checker.Promise(whole.Epoch == _lastWhole.Next, Promise.LinkInOrder, $"epoch {whole.Epoch} follows epoch {_lastWhole}");
                _lastWhole = whole.Epoch;
                _whole[whole.Epoch] = whole.AtCut;
                if (whole.Epoch.Value == 0)
                {
                    _applied = whole.Epoch;
                }
                Apply();
                Report(new PairEvent.EpochWhole(whole.Epoch));
                break;
            default:
                Report((PairEvent)message);
                break;
        }
    }

    private void Keep(EpochSaid said)
    {
        foreach (var frame in said.Frames)
        {
            var index = new byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(index, _said.Count);
            _said.Add(frame);
            _egress.Add(said.Epoch, index);
        }
    }

    private void Apply()
    {
        if (!_isApplying && _applied < _applyUpTo && _whole.ContainsKey(_applied.Next))
        {
            _isApplying = true;
            _applier.After(0.05 + (world.Random.NextDouble() * 2), () =>
            {
                _isApplying = false;
                _whole.Remove(_applied);
                _applied = _applied.Next;
                _appliedEnough?.Invoke();
                Apply();
            });
        }
    }

    private void Judge(SilenceVerdict verdict)
    {
        if (verdict.LateMs is not null)
        {
            world.Coverage.Add(Seen.StandbyWasLate);
        }
        if (verdict.SilentMs is { } silent)
        {
            Report(new PairEvent.PeerSilent(silent));
        }
        if (verdict.HeardAgain)
        {
            Report(new PairEvent.PeerHeard());
        }
    }

    private void Report(PairEvent e)
    {
        if (!IsClosed)
        {
            keeper.Post(e);
        }
    }
}
