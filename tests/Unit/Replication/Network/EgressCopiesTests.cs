using Pollux.Core;
using Pollux.Replication.Network;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Network;

/// <summary>What a guest said last, and the world may not have heard.</summary>
public sealed class EgressCopiesTests
{
    private sealed class NoWire : IFrameOutput
    {
        public void Send(int nic, ReadOnlySpan<byte> frame)
        {
        }
    }

    private static List<byte> Firsts(ReadOnlySpan<byte> batch)
    {
        var firsts = new List<byte>();
        while (FrameBatch.TryTake(ref batch, out _, out var frame))
        {
            firsts.Add(frame[0]);
        }
        return firsts;
    }

    private static byte[] Batch(byte first)
    {
        var batch = new byte[100];
        var used = 0;
        FrameBatch.TryAppend(batch, ref used, 0, [first]);
        return batch[..used];
    }

    [Fact]
    public void Copy_GivesTheHeldFramesOfItsEpoch_AndLeavesThemHeld()
    {
        using var gate = new EgressGate(new NoWire(), 4096);
        gate.Hold(new Epoch(1));
        gate.TryOffer(0, [1]);
        gate.Open(new Epoch(2));
        gate.TryOffer(0, [2]);
        gate.TryOffer(0, [3]);
        gate.Open(new Epoch(3));
        gate.TryOffer(0, [4]);
        var copies = new EgressCopies(gate);

        Assert.Equal([2, 3], Firsts(copies.Copy(new Epoch(2))));
        Assert.Equal([1], Firsts(copies.Copy(new Epoch(1))));
        Assert.Equal(4, gate.Held);
    }

    [Fact]
    public void Copy_OfAGateThatHoldsNothing_IsEmpty()
    {
        using var gate = new EgressGate(new NoWire(), 4096);
        gate.Pass();
        gate.TryOffer(0, [1]);

        Assert.True(new EgressCopies(gate).Copy(new Epoch(0)).IsEmpty);
    }

    [Fact]
    public void TakeUpTo_NeverGivesWhatALaterEpochSaid()
    {
        var log = new EgressLog();
        log.Add(new Epoch(7), Batch(7));
        log.Add(new Epoch(8), Batch(8));
        log.Add(new Epoch(9), Batch(9));

        Assert.Equal([7, 8], log.TakeUpTo(new Epoch(8)).SelectMany(b => Firsts(b)));
        Assert.Empty(log.TakeUpTo(new Epoch(9)));
    }

    [Fact]
    public void Committed_ForgetsWhatIsOutByNow()
    {
        var log = new EgressLog();
        for (byte epoch = 1; epoch <= 9; epoch++)
        {
            log.Add(new Epoch(epoch), Batch(epoch));
            log.Committed(new Epoch(epoch));
        }

        Assert.Equal([8, 9], log.TakeUpTo(new Epoch(9)).SelectMany(b => Firsts(b)));
    }
}
