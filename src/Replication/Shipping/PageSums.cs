using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Shipping;

/// <summary>
/// For each part of each page the hash of what was last sent of it, outside the collector's heap: 128 bytes for each page that was sent since
/// the first copy, 3.1 % of the memory that the guest writes; pages that it leaves alone take nothing. Zero means "not known": no content
/// has that hash, but for a chance of 2^-128.
/// </summary>
internal sealed unsafe class PageSums : IDisposable
{
    public const int BytesPerPage = PageRecord.PartsPerPage * 16;

    private readonly List<MemoryMap> _blocks = [];

    /// <summary>The block with the next number.</summary>
    /// <param name="length">In bytes.</param>
    public void AddBlock(ulong length)
    {
        var pages = (long)((length + PageRecord.PageBytes - 1) / PageRecord.PageBytes);
        _blocks.Add(MemoryMap.ReserveAnonymous(Math.Max(1, pages) * BytesPerPage));
    }

    /// <summary>The sums of a page's parts. The memory is there until <see cref="Dispose"/>.</summary>
    public Span<UInt128> Of(int block, ulong address)
    {
        var sums = _blocks[block];
        var offset = (long)(address / PageRecord.PageBytes) * BytesPerPage;
        Invariant.Check(offset >= 0 && offset < sums.Length, "a page lies in its block");
        return new Span<UInt128>(sums.Start + offset, PageRecord.PartsPerPage);
    }

    public void Dispose()
    {
        foreach (var block in _blocks)
        {
            block.Dispose();
        }
        _blocks.Clear();
    }
}
