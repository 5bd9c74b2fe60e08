using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Wire.Replication;

public class KeyedHashTests
{
    private const int BlockBytes = 512;
    private static readonly byte[] Seed = [.. Enumerable.Range(1, KeyedHash.SeedBytes).Select(i => (byte)i)];

    [Fact]
    public void Of_SameSeedAndBlock_IsTheSameOnEveryHost()
    {
        var block = Block(1);
        Assert.Equal(new KeyedHash(Seed, BlockBytes).Of(block), new KeyedHash(Seed, BlockBytes).Of(block));
        // Both sides of a pair may be of different releases: the value itself is part of the protocol.
        byte[] counting = [.. Enumerable.Range(0, BlockBytes).Select(i => (byte)(i * 7))];
        Assert.Equal(PinnedHash, $"{new KeyedHash(Seed, BlockBytes).Of(counting):x32}");
    }

    [Fact]
    public void Of_AnotherSeed_IsAnother()
    {
        var block = Block(1);
        Assert.NotEqual(new KeyedHash(Seed, BlockBytes).Of(block), new KeyedHash(KeyedHash.NewSeed(), BlockBytes).Of(block));
    }

    [Fact]
    public void Of_AnySingleBitChanged_IsAnother()
    {
        var hash = new KeyedHash(Seed, BlockBytes);
        var block = Block(2);
        var seen = new HashSet<UInt128> { hash.Of(block) };
        for (var bit = 0; bit < BlockBytes * 8; bit++)
        {
            block[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(seen.Add(hash.Of(block)), $"bit {bit}");
            block[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void Of_BlocksAlikeInWordsAndOrder_AreDifferent()
    {
        var hash = new KeyedHash(Seed, BlockBytes);
        var seen = new HashSet<UInt128>();
        for (var word = 0; word < BlockBytes / 8; word++)
        {
            for (var value = 0; value < 64; value++)
            {
                var block = new byte[BlockBytes];
                BitConverter.TryWriteBytes(block.AsSpan(word * 8), 1ul << value);
                Assert.True(seen.Add(hash.Of(block)), $"1 << {value} in word {word}");
            }
        }
    }

    [Fact]
    public void Of_ManyRandomBlocks_FillsBothHalvesEvenly()
    {
        var hash = new KeyedHash(Seed, BlockBytes);
        var counts = new int[128];
        const int blocks = 4000;
        var random = new Random(5);
        var block = new byte[BlockBytes];
        for (var i = 0; i < blocks; i++)
        {
            block[random.Next(BlockBytes)]++;
            var value = hash.Of(block);
            for (var bit = 0; bit < counts.Length; bit++)
            {
                counts[bit] += (int)(value >> bit & 1);
            }
        }
        Assert.All(counts, c => Assert.InRange(c, blocks * 0.45, blocks * 0.55));
    }

    [Theory]
    [InlineData(15, 512)]
    [InlineData(16, 0)]
    [InlineData(16, 24)]
    public void New_SeedOrLengthThatIsNone_IsRefused(int seedBytes, int blockBytes) =>
        Assert.Throws<ArgumentException>(() => new KeyedHash(new byte[seedBytes], blockBytes));

    [Fact]
    public void Of_BlockOfAnotherLength_IsRefused() =>
        Assert.Throws<ArgumentException>(() => new KeyedHash(Seed, BlockBytes).Of(new byte[BlockBytes - 8]));

    /// <summary>Computed from the definition by a program in another language.</summary>
    private const string PinnedHash = "b3016f7967d23859e24e9e00fa2831df";

    private static byte[] Block(int seed)
    {
        var block = new byte[BlockBytes];
        new Random(seed).NextBytes(block);
        return block;
    }
}
