using System.Diagnostics;
using Pollux.Linux.Memory;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Scrubbing;

/// <summary>
/// The primary's half of the scrub: hashes of pages of the guest's own RAM at a cut, read from its file and not from what QEMU said has
/// changed. A page that QEMU forgot, or that was lost on the way, is thereby found on the standby. For the checkpoint's thread alone.
/// </summary>
/// <param name="ram">The guest's RAM, mapped read-only. This object's own from now on.</param>
public sealed unsafe class RamScrubber(MemoryMap ram, TimeSpan round) : IDisposable
{
    private readonly ScrubPlan _plan = new(ram.Length / ScrubSample.PageBytes, round, Random.Shared);
    private readonly byte[] _seed = KeyedHash.NewSeed();
    private readonly long[] _chosen = new long[ScrubPlan.PagesPerCutMax];
    private readonly long _started = Stopwatch.GetTimestamp();
    private KeyedHash? _hash;
    private int _count;
    private byte _touched;

    public long Pages => Volatile.Read(ref _pages);

    /// <summary>How often all of the RAM was hashed.</summary>
    public long Rounds => Pages / (ram.Length / ScrubSample.PageBytes);

    private long _pages;

    /// <summary>Chooses the next cut's pages and makes sure that reading them faults no more. The guest may run.</summary>
    public void Choose()
    {
        _count = _plan.Due(Stopwatch.GetElapsedTime(_started));
        for (var i = 0; i < _count; i++)
        {
            _chosen[i] = _plan.Next() * ScrubSample.PageBytes;
            _touched ^= Volatile.Read(ref ram.Start[_chosen[i]]);
        }
    }

    /// <summary>The sample of the pages that were chosen, null when none are due. The guest stands.</summary>
    public byte[]? Take()
    {
        if (_count == 0)
        {
            return null;
        }
        _hash ??= new KeyedHash(_seed, ScrubSample.PageBytes);
        var sample = ScrubSample.Create(_seed, _count);
        for (var i = 0; i < _count; i++)
        {
            ScrubSample.Set(sample, i, _chosen[i], _hash.Of(new ReadOnlySpan<byte>(ram.Start + _chosen[i], ScrubSample.PageBytes)));
        }
        Volatile.Write(ref _pages, _pages + _count);
        _count = 0;
        return sample;
    }

    public void Dispose() => ram.Dispose();
}
