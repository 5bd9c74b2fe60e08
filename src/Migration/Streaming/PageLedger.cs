using Pollux.Migration.Policies;
using Pollux.Wire;
using Pollux.Wire.Migration;

namespace Pollux.Migration.Streaming;

/// <summary>
/// Which pages of a guest have been sent, and how often by page group. The relay's thread writes it, page by page and without a lock; others
/// read counters that may be a few pages apart from each other.
/// </summary>
internal sealed class PageLedger
{
    private const int GroupPages = PageGroups.Bytes / RamStreamScanner.PageSize;
    private readonly List<Block> _blocks = [];
    private readonly long _pagesMax;
    private long _pagesLeft;
    private Group[] _groups = [];
    private long _sentPages;
    private long _resentPages;

    /// <param name="pagesMax">A bound for what QEMU may announce.</param>
    public PageLedger(long pagesMax) => _pagesMax = _pagesLeft = pagesMax;

    /// <summary>QEMU's present iteration, as it was last asked.</summary>
    public int Iteration { get; set; } = 1;

    public long SentPages => Volatile.Read(ref _sentPages);
    public long ResentPages => Volatile.Read(ref _resentPages);
    public int GroupCount => _groups.Length;

    /// <summary>All groups, block after block in QEMU's order (the guest's RAM is the first), each block beginning a new one.</summary>
    public GroupSample[] Groups()
    {
        var groups = _groups;
        var samples = new GroupSample[groups.Length];
        for (var i = 0; i < samples.Length; i++)
        {
            samples[i] = new GroupSample(groups[i].Sent, groups[i].Resent, groups[i].LastIteration);
        }
        return samples;
    }

    internal void Add(string name, ulong length)
    {
        var pages = (long)Math.Min(length / RamStreamScanner.PageSize, long.MaxValue) + 1;
        if (pages > _pagesLeft)
        {
            throw new WireFormatException($"QEMU's block '{name}' of {length} bytes makes the guest larger than {_pagesMax} pages");
        }
        _pagesLeft -= pages;
        _blocks.Add(new Block(new ulong[(pages + 63) / 64], _groups.Length));
        var groups = _groups;
        Array.Resize(ref groups, groups.Length + (int)((pages + GroupPages - 1) / GroupPages));
        _groups = groups;
    }

    /// <summary>Returns whether it is the first time.</summary>
    internal bool Count(int block, ulong address)
    {
        var page = (long)(address / RamStreamScanner.PageSize);
        var (bits, firstGroup) = _blocks[block];
        ref var word = ref bits[page >> 6];
        var bit = 1UL << (int)(page & 63);
        ref var group = ref _groups[firstGroup + (int)(page / GroupPages)];
        var isFirst = (word & bit) == 0;
        if (!isFirst)
        {
            group.Resent++;
            _resentPages++;
        }
        word |= bit;
        group.Sent++;
        group.LastIteration = Iteration;
        _sentPages++;
        return isFirst;
    }

    private readonly record struct Block(ulong[] Sent, int FirstGroup);

    private struct Group
    {
        public int Sent;
        public int Resent;
        public int LastIteration;
    }
}
