using Pollux.Core;
using Pollux.Replication.Network;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Network;

public sealed class FrameRingTests
{
    [Theory]
    [InlineData(1, 4096)]
    [InlineData(2, 4096)]
    [InlineData(3, 8200)]
    public void Ring_RandomPutsAndDrops_IsAQueue(int seed, int capacity)
    {
        var random = new Random(seed);
        var expected = new Queue<(long Epoch, int Nic, byte[] Frame)>();
        using var ring = new FrameRing(capacity);
        for (var step = 0; step < 50_000; step++)
        {
            if (random.Next(2) == 0)
            {
                var frame = new byte[random.Next(0, 1600)];
                random.NextBytes(frame);
                var (epoch, nic) = (random.NextInt64(1000), random.Next(8));
                if (ring.TryPut(new Epoch(epoch), nic, frame))
                {
                    expected.Enqueue((epoch, nic, frame));
                }
            }
            else if (ring.TryPeek(out var epoch, out var nic, out var frame))
            {
                var (expectedEpoch, expectedNic, expectedFrame) = expected.Dequeue();
                Assert.Equal((expectedEpoch, expectedNic), (epoch.Value, nic));
                Assert.True(frame.SequenceEqual(expectedFrame));
                ring.Drop();
            }
            Assert.Equal(expected.Count, ring.Frames);
            Assert.InRange(ring.UsedBytes, 0, capacity);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void CopyTo_WhereverTheRingHasWrapped_GivesTheFramesOfOneEpochInOrder(int seed)
    {
        var random = new Random(seed);
        var held = new Queue<(long Epoch, byte[] Frame)>();
        using var ring = new FrameRing(8200);
        var batch = new byte[16 << 10];
        for (var (step, open) = (0, 1L); step < 20_000; step++, open += random.Next(4) == 0 ? 1 : 0)
        {
            var frame = new byte[random.Next(1, 1600)];
            random.NextBytes(frame);
            if (ring.TryPut(new Epoch(open), 3, frame))
            {
                held.Enqueue((open, frame));
            }
            if (random.Next(3) > 0 && ring.TryPeek(out _, out _, out _))
            {
                ring.Drop();
                held.Dequeue();
            }
            var wanted = open - random.Next(4);
            ReadOnlySpan<byte> rest = batch.AsSpan(0, ring.CopyTo(batch, new Epoch(wanted)));
            foreach (var expected in held.Where(h => h.Epoch == wanted))
            {
                Assert.True(FrameBatch.TryTake(ref rest, out var nic, out var copied));
                Assert.Equal(3, nic);
                Assert.True(copied.SequenceEqual(expected.Frame));
            }
            Assert.True(rest.IsEmpty);
        }
    }

    [Fact]
    public void CopyTo_ABatchWithoutRoom_TakesTheOldestWholeFrames()
    {
        using var ring = new FrameRing(8200);
        foreach (var first in (byte[])[1, 2, 3])
        {
            ring.TryPut(new Epoch(5), 0, [first, .. new byte[999]]);
        }
        var batch = new byte[2500];

        ReadOnlySpan<byte> rest = batch.AsSpan(0, ring.CopyTo(batch, new Epoch(5)));

        Assert.True(FrameBatch.TryTake(ref rest, out _, out var one) && one[0] == 1);
        Assert.True(FrameBatch.TryTake(ref rest, out _, out var two) && two[0] == 2);
        Assert.True(rest.IsEmpty);
    }

    [Fact]
    public void TryPut_OnceEmptied_TakesAFrameOfHalfTheRingWhereverItEnded()
    {
        for (var first = 0; first < 3000; first += 8)
        {
            using var ring = new FrameRing(4096);
            Assert.True(ring.TryPut(new Epoch(1), 0, new byte[first]));
            ring.Drop();
            Assert.True(ring.TryPut(new Epoch(2), 0, new byte[1500]), $"after a frame of {first} bytes");
            Assert.True(ring.TryPeek(out var epoch, out _, out var frame));
            Assert.Equal((2, 1500), (epoch.Value, frame.Length));
        }
    }
}
