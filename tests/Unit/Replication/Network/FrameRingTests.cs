using Pollux.Core;
using Pollux.Replication.Network;

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
