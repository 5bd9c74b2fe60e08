using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Pollux.Wire.Replication;

/// <summary>
/// A 128-bit hash of blocks of one length, under a key that is drawn at random and that the guest never learns: two blocks that differ have
/// the same hash with a probability of 2^-126 at most, whatever their content, so that equal hashes may count as equal blocks.
///
/// Each half is NH, a sum of products of keyed 64-bit words modulo 2^128 (Black et al., "UMAC", 1999; the 64-bit words as in VMAC, Krovetz
/// 2006), brought to 64 bits by a multilinear hash (Lemire and Kaser, "Strongly universal string hashing is fast", 2013). The second half
/// uses the same key shifted by two words (UMAC's Toeplitz construction).
/// </summary>
public sealed class KeyedHash
{
    public const int SeedBytes = 16;
    private const int ToeplitzWords = 2;
    private readonly ulong[] _key;
    private readonly Multilinear _first;
    private readonly Multilinear _second;

    /// <param name="seed">16 random bytes; the same seed gives the same hash on every host.</param>
    /// <param name="blockBytes">A multiple of 16.</param>
    public KeyedHash(ReadOnlySpan<byte> seed, int blockBytes)
    {
        if (seed.Length != SeedBytes || blockBytes <= 0 || blockBytes % 16 != 0)
        {
            throw new ArgumentException($"a seed of {seed.Length} bytes for blocks of {blockBytes}");
        }
        const int finalWords = 2 * Multilinear.Words;
        BlockBytes = blockBytes;
        var words = Expand(seed, (blockBytes / sizeof(ulong)) + ToeplitzWords + finalWords);
        _key = words[..^finalWords];
        _first = new Multilinear(words.AsSpan(_key.Length));
        _second = new Multilinear(words.AsSpan(_key.Length + Multilinear.Words));
    }

    public int BlockBytes { get; }

    public static byte[] NewSeed() => RandomNumberGenerator.GetBytes(SeedBytes);

    /// <summary>The hash of a block of exactly <see cref="BlockBytes"/>.</summary>
    public UInt128 Of(ReadOnlySpan<byte> block)
    {
        if (block.Length != BlockBytes)
        {
            throw new ArgumentException($"a block of {block.Length} bytes where {BlockBytes} are expected");
        }
        ref var m = ref Unsafe.As<byte, ulong>(ref MemoryMarshal.GetReference(block));
        ref var k = ref MemoryMarshal.GetArrayDataReference(_key);
        var words = (nuint)block.Length / sizeof(ulong);
        ulong high1 = 0, low1 = 0, high2 = 0, low2 = 0;
        for (nuint i = 0; i < words; i += 2)
        {
            var even = Unsafe.Add(ref m, i);
            var odd = Unsafe.Add(ref m, i + 1);
            AddProduct(even + Unsafe.Add(ref k, i), odd + Unsafe.Add(ref k, i + 1), ref high1, ref low1);
            AddProduct(even + Unsafe.Add(ref k, i + ToeplitzWords), odd + Unsafe.Add(ref k, i + ToeplitzWords + 1), ref high2, ref low2);
        }
        return new UInt128(_first.Of(high1, low1), _second.Of(high2, low2));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddProduct(ulong a, ulong b, ref ulong high, ref ulong low)
    {
        var productHigh = Math.BigMul(a, b, out var productLow);
        low += productLow;
        high += productHigh + (low < productLow ? 1ul : 0);
    }

    private static ulong[] Expand(ReadOnlySpan<byte> seed, int words)
    {
        const int wordsPerDigest = SHA256.HashSizeInBytes / sizeof(ulong);
        var key = new ulong[words];
        Span<byte> input = stackalloc byte[SeedBytes + sizeof(int)];
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        seed.CopyTo(input);
        for (var i = 0; i < words; i++)
        {
            if (i % wordsPerDigest == 0)
            {
                BinaryPrimitives.WriteInt32LittleEndian(input[SeedBytes..], i / wordsPerDigest);
                SHA256.HashData(input, digest);
            }
            key[i] = BinaryPrimitives.ReadUInt64LittleEndian(digest[(i % wordsPerDigest * sizeof(ulong))..]);
        }
        return key;
    }

    /// <summary>128 bits to 64: the upper half of b + a₁x₁ + a₂x₂ modulo 2^128.</summary>
    private readonly struct Multilinear(ReadOnlySpan<ulong> key)
    {
        public const int Words = 6;
        private readonly UInt128 _a1 = new(key[0], key[1]);
        private readonly UInt128 _a2 = new(key[2], key[3]);
        private readonly UInt128 _b = new(key[4], key[5]);

        public ulong Of(ulong high, ulong low) => (ulong)((_b + (_a1 * high) + (_a2 * low)) >> 64);
    }
}
