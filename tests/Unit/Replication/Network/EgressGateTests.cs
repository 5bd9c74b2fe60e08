using System.Buffers.Binary;
using Pollux.Core;
using Pollux.Replication.Network;

namespace Pollux.Unit.Tests.Replication.Network;

/// <summary>The output commit: what may leave, when, and in which order.</summary>
public sealed class EgressGateTests : IDisposable
{
    private readonly Wire _wire = new();
    private readonly EgressGate _gate;

    public EgressGateTests() => _gate = new EgressGate(_wire, capacityBytes: 4096);

    public void Dispose() => _gate.Dispose();

    [Fact]
    public void TryOffer_BeforeAnybodySaysSo_IsHeld()
    {
        Assert.True(_gate.TryOffer(0, [1]));

        Assert.Empty(_wire.Sent);
        Assert.Equal(1, _gate.Held);
    }

    private static readonly Func<bool> Always = () => true;

    /// <summary>A host that stood still between two frames.</summary>
    [Fact]
    public void Release_WhenItMayNotGoOn_KeepsTheRest()
    {
        _gate.Hold(new Epoch(1));
        _gate.TryOffer(0, [1]);
        _gate.TryOffer(0, [2]);
        _gate.TryOffer(0, [3]);

        _gate.Release(new Epoch(1), () => _wire.Sent.Count < 2);
        Assert.Equal([(0, 1), (0, 2)], _wire.Sent);
        _gate.Release(new Epoch(1), Always);
        Assert.Equal([(0, 1), (0, 2), (0, 3)], _wire.Sent);
    }

    [Fact]
    public void Release_LetsOutTheFramesOfItsEpochsOnly_InOneOrderOverAllNics()
    {
        _gate.Hold(new Epoch(1));
        _gate.TryOffer(0, [1]);
        _gate.TryOffer(1, [2]);
        _gate.Open(new Epoch(2));
        _gate.TryOffer(0, [3]);
        _gate.Open(new Epoch(3));
        _gate.TryOffer(1, [4]);

        _gate.Release(new Epoch(0), Always);
        Assert.Empty(_wire.Sent);
        _gate.Release(new Epoch(2), Always);
        Assert.Equal([(0, 1), (1, 2), (0, 3)], _wire.Sent);
        _gate.Release(new Epoch(3), Always);
        Assert.Equal((1, 4), _wire.Sent[^1]);
        Assert.Equal((4, 0), (_gate.Released, _gate.Held));
    }

    [Fact]
    public void Pass_LetsEverythingOutInOrder_AndHoldsNothingMore()
    {
        _gate.Hold(new Epoch(1));
        _gate.TryOffer(0, [1]);
        _gate.Open(new Epoch(2));
        _gate.TryOffer(0, [2]);

        _gate.Pass();
        _gate.TryOffer(0, [3]);

        Assert.Equal([(0, 1), (0, 2), (0, 3)], _wire.Sent);
    }

    [Fact]
    public void Hold_AfterPass_HoldsAgain()
    {
        _gate.Pass();
        _gate.Hold(new Epoch(1));
        _gate.TryOffer(0, [1]);

        Assert.Empty(_wire.Sent);
    }

    [Fact]
    public void Close_DiscardsWhatIsHeldAndWhatComes_ForEver()
    {
        _gate.Hold(new Epoch(1));
        _gate.TryOffer(0, [1]);

        _gate.Close();
        Assert.True(_gate.TryOffer(0, [2]));
        _gate.Release(new Epoch(9), Always);
        _gate.Hold(new Epoch(2));
        _gate.Pass();

        Assert.Empty(_wire.Sent);
        Assert.Equal(0, _gate.Held);
    }

    [Fact]
    public void TryOffer_AFullRing_MakesTheReaderWaitAndDropsNothing()
    {
        _gate.Hold(new Epoch(1));
        var frame = new byte[1000];
        var taken = 0;
        while (_gate.TryOffer(0, frame))
        {
            taken++;
        }
        Assert.InRange(taken, 3, 4);

        _gate.Release(new Epoch(1), Always);

        Assert.Equal(taken, _wire.Sent.Count);
        Assert.True(_gate.TryOffer(0, frame));
    }

    [Fact]
    public void FrameWaits_IsSaidOncePerOpenEpoch()
    {
        var said = 0;
        _gate.FrameWaits = () => said++;
        _gate.Hold(new Epoch(1));
        _gate.TryOffer(0, [1]);
        _gate.TryOffer(0, [2]);
        Assert.Equal((1, 2), (said, _gate.HeldInOpenEpoch));

        _gate.Open(new Epoch(2));
        Assert.Equal(0, _gate.HeldInOpenEpoch);
        _gate.TryOffer(0, [3]);
        Assert.Equal(2, said);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Gate_RandomFramesAndCommits_KeepOrderAndContentAndNeverLeaveEarly(int seed)
    {
        var random = new Random(seed);
        var committed = 0L;
        var open = 1L;
        var made = new List<(long Epoch, int Nic, byte[] Frame)>();
        using var gate = new EgressGate(_wire, capacityBytes: 4096);
        gate.FrameLeaves = (_, frame) => Assert.True(BinaryPrimitives.ReadInt64LittleEndian(frame) <= committed, "a frame left before its commit");
        gate.Hold(new Epoch(open));
        for (var step = 0; step < 20_000; step++)
        {
            switch (random.Next(4))
            {
                case 0 or 1:
                    // The frame says its epoch in its first eight bytes.
                    var frame = new byte[random.Next(8, 1600)];
                    random.NextBytes(frame);
                    BinaryPrimitives.WriteInt64LittleEndian(frame, open);
                    var nic = random.Next(3);
                    if (gate.TryOffer(nic, frame))
                    {
                        made.Add((open, nic, frame));
                    }
                    break;
                case 2:
                    gate.Open(new Epoch(++open));
                    break;
                default:
                    committed = random.NextInt64(committed, open);
                    gate.Release(new Epoch(committed), Always);
                    break;
            }
        }
        committed = open;
        gate.Pass();

        Assert.True(made.Count > 1000);
        Assert.Equal(made.Count, _wire.Frames.Count);
        Assert.All(made.Zip(_wire.Frames), pair =>
        {
            Assert.Equal(pair.First.Nic, pair.Second.Nic);
            Assert.True(pair.First.Frame.AsSpan().SequenceEqual(pair.Second.Frame));
        });
    }

    private sealed class Wire : IFrameOutput
    {
        public List<(int Nic, byte[] Frame)> Frames { get; } = [];
        public List<(int Nic, int First)> Sent => [.. Frames.Select(f => (f.Nic, (int)f.Frame[0]))];

        public void Send(int nic, ReadOnlySpan<byte> frame) => Frames.Add((nic, frame.ToArray()));
    }
}
