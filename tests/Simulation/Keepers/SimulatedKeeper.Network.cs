using System.Buffers.Binary;
using Pollux.Core;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Simulation.Guests;
using Pollux.Simulation.Hosts;
using Pollux.Simulation.Judgement;
using Pollux.Wire.Replication;

namespace Pollux.Simulation.Keepers;

/// <content>The guest's frames, from QEMU's socket through the real <see cref="EgressGate"/> to the world. A frame's content says which step of the guest it tells of.</content>
internal sealed partial class SimulatedKeeper : IFrameOutput
{
    private const int GateBytes = 16 << 10;
    private const double RoomAgainMs = 10;
    private readonly List<History> _frames = [];
    private SimulatedThread? _relay;
    private EgressCopies? _copies;
    private IReadOnlyList<History> _unheard = [];
    private bool _isReading;

    void IFrameOutput.Send(int nic, ReadOnlySpan<byte> frame) =>
        _world.Checker.Leaves(this, _frames[BinaryPrimitives.ReadInt32LittleEndian(frame)]);

    /// <summary>Reads what the guest, stopped for a cut, has already sent.</summary>
    public void DrainEgress() => ReadFrames();

    /// <summary>What the guest said in an epoch and the world has not heard yet, as it goes along to the standby.</summary>
    public IReadOnlyList<History> HeldOf(Epoch epoch)
    {
        _copies ??= new EgressCopies(Egress!);
        var held = new List<History>();
        for (var rest = _copies.Copy(epoch); FrameBatch.TryTake(ref rest, out _, out var frame);)
        {
            held.Add(_frames[BinaryPrimitives.ReadInt32LittleEndian(frame)]);
        }
        return held;
    }

    private void Attach(SimulatedQemu qemu)
    {
        Qemu = qemu;
        Egress = new EgressGate(this, GateBytes) { FrameWaits = () => _session?.FrameWaits() };
        _world.Gates.Add(Egress);
        _relay = Process.NewThread();
        qemu.FrameSent = WakeRelay;
        qemu.Process.Died += () =>
        {
            qemu.ChannelMoved?.Invoke();
            qemu.MigrationMoved?.Invoke();
            Process.After(0.1 + (_world.Random.NextDouble() * 5), () => Post(new PairEvent.QemuExited("killed by signal 9")));
        };
    }

    private void WakeRelay()
    {
        if (!_isReading)
        {
            _isReading = true;
            _relay!.Soon(() =>
            {
                _isReading = false;
                ReadFrames();
            });
        }
    }

    private void ReadFrames()
    {
        Span<byte> frame = stackalloc byte[4];
        while (Qemu!.Sent.TryPeek(out var step))
        {
            BinaryPrimitives.WriteInt32LittleEndian(frame, _frames.Count);
            _frames.Add(step);
            if (!Egress!.TryOffer(0, frame))
            {
                _frames.RemoveAt(_frames.Count - 1);
                _relay!.After(RoomAgainMs, WakeRelay);
                return;
            }
            Qemu.Sent.Dequeue();
        }
    }

    /// <summary>From here on frames leave as they come, after those that the former self may not have been heard to say.</summary>
    private void Pass(IReadOnlyList<History>? unheard = null)
    {
        _world.Checker.GoesOnAlone(this);
        Passes = true;
        foreach (var frame in unheard ?? [])
        {
            _world.Coverage.Add(Seen.FrameSaidAgain);
            _world.Checker.Leaves(this, frame);
        }
        Egress!.Pass();
    }
}
