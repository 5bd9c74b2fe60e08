using Pollux.Linux.Memory;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Scrubbing;

/// <summary>The standby's half of the scrub. For the thread that applies.</summary>
public sealed unsafe class ScrubCheck(MemoryMap ram)
{
    private readonly byte[] _seed = new byte[KeyedHash.SeedBytes];
    private KeyedHash? _hash;
    private long _pages;

    /// <summary>Pages compared so far.</summary>
    public long Pages => Volatile.Read(ref _pages);

    /// <summary>The addresses in <paramref name="sample"/> at which the image is not what the primary's RAM was; null when all are equal.</summary>
    public IReadOnlyList<long>? Differences(ReadOnlySpan<byte> sample)
    {
        List<long>? wrong = null;
        var count = ScrubSample.Count(sample);
        if (_hash is null || !ScrubSample.Seed(sample).SequenceEqual(_seed))
        {
            ScrubSample.Seed(sample).CopyTo(_seed);
            _hash = new KeyedHash(_seed, ScrubSample.PageBytes);
        }
        for (var i = 0; i < count; i++)
        {
            var (address, hash) = ScrubSample.Get(sample, i);
            if (address > ram.Length - ScrubSample.PageBytes)
            {
                throw new WireFormatException($"a Scrub frame names a page at 0x{address:x}, the RAM has {ram.Length} bytes");
            }
            if (_hash.Of(new ReadOnlySpan<byte>(ram.Start + address, ScrubSample.PageBytes)) != hash)
            {
                (wrong ??= []).Add(address);
            }
        }
        Volatile.Write(ref _pages, _pages + count);
        return wrong;
    }
}
