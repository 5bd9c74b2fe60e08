using Pollux.Migration.Policies;
using Pollux.Migration.Watching;

namespace Pollux.Migration.Replay;

/// <summary>
/// A guest's RAM as QEMU 7.2's precopy sees it (migration/ram.c): a bitmap of pages to send, and a dirty log beside it that counts only when it is read.
/// A page that is written before it is sent stays in the log and is sent again, as under TCG and under KVM without manual protection of the log.
/// </summary>
internal sealed class PrecopyMemory
{
    public const int PageOnLink = DirtyLooks.PageBytes + 8;
    public const int ZeroPageOnLink = 9;

    /// <summary>The page waits until the guest stands.</summary>
    public const int Postponed = -1;

    private readonly bool[] _toSend;
    private readonly bool[] _log;
    private readonly bool[] _isUsed;
    private readonly bool[] _wasSent;
    private readonly uint[] _versions;
    private readonly int[] _groupSent;
    private readonly int[] _groupResent;
    private readonly int[] _groupIteration;
    private readonly bool[] _isPostponed;
    private readonly int[] _postponedBySlice = new int[RamSight.Slices];
    private int _position;

    public PrecopyMemory(MemoryTrace trace)
    {
        var pages = trace.Groups * MemoryTrace.PagesPerGroup;
        (_toSend, _log, _isUsed, _wasSent) = (new bool[pages], new bool[pages], new bool[pages], new bool[pages]);
        (_groupSent, _groupResent, _groupIteration) = (new int[trace.Groups], new int[trace.Groups], new int[trace.Groups]);
        (_versions, _isPostponed) = (new uint[pages], new bool[pages]);
        Array.Fill(_toSend, true);
        for (var group = 0; group < trace.Groups; group++)
        {
            Array.Fill(_isUsed, true, group * MemoryTrace.PagesPerGroup, trace.UsedPages[group]);
        }
        Remaining = pages;
    }

    /// <summary>QEMU's count: pages to send as of the last look.</summary>
    public int Remaining { get; private set; }

    public long SentPages { get; private set; }

    public long ResentPages { get; private set; }

    public IReadOnlyList<int> PostponedBySlice => [.. _postponedBySlice];

    public int PostponedPages { get; private set; }

    public void Write(int page)
    {
        _log[page] = true;
        _isUsed[page] = true;
        _versions[page]++;
    }

    /// <summary>As one who reads the guest's RAM sees it.</summary>
    public PageSeen Read(long page) => new(_versions[page], !_isUsed[page]);

    /// <summary>Reads the dirty log; returns how many pages it added.</summary>
    public int Look()
    {
        var added = 0;
        for (var page = 0; page < _log.Length; page++)
        {
            added += _log[page] && !_toSend[page] ? 1 : 0;
            _toSend[page] |= _log[page];
        }
        Array.Clear(_log);
        Remaining += added;
        return added;
    }

    /// <summary>Sends the next page in the order of addresses, round and round; its bytes on the link, 0 when there is none, or <see cref="Postponed"/>.</summary>
    /// <param name="postponedSlices">Of which pages wait that were never sent (<see cref="MigrationOrder.PostponedSlices"/>).</param>
    public int SendNext(long iteration, ulong postponedSlices)
    {
        if (Remaining == 0)
        {
            return 0;
        }
        while (!_toSend[_position])
        {
            _position = (_position + 1) % _toSend.Length;
        }
        var (page, group) = (_position, _position / MemoryTrace.PagesPerGroup);
        _toSend[page] = false;
        Remaining--;
        SentPages++;
        _groupSent[group]++;
        _groupIteration[group] = (int)iteration;
        if (_wasSent[page])
        {
            ResentPages++;
            _groupResent[group]++;
        }
        var isNew = !_wasSent[page];
        _wasSent[page] = true;
        var postpone = isNew && _isUsed[page] && (postponedSlices >> SliceOf(page) & 1) != 0;
        if (postpone != _isPostponed[page])
        {
            _isPostponed[page] = postpone;
            _postponedBySlice[SliceOf(page)] += postpone ? 1 : -1;
            PostponedPages += postpone ? 1 : -1;
        }
        return postpone ? Postponed : _isUsed[page] ? PageOnLink : ZeroPageOnLink;
    }

    private int SliceOf(int page) => (int)((long)page * RamSight.Slices / _wasSent.Length);

    public GroupSample[] Groups() => [.. _groupSent.Select((sent, g) => new GroupSample(sent, _groupResent[g], _groupIteration[g]))];
}
