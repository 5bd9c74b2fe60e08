using System.Numerics;
using Microsoft.Win32.SafeHandles;
using Pollux.Core;
using Pollux.Migration.Policies;
using Pollux.Wire.Migration;

namespace Pollux.Migration.Streaming;

/// <summary>
/// Pages that QEMU has given and that were kept from the link: the guest writes them all the time, and what it wrote last is in its RAM's file when it stands. QEMU takes
/// them for sent and gives what is written later once more; a page that it gives again waits no longer.
///
/// Why the destination is whole: of each page the last that went over the link is either what QEMU gave after the guest's last write to it, or was read here, after the
/// guest had stopped. The relay's thread uses it; the slices may be set and the counts read by another.
/// </summary>
internal sealed class PostponedPages : IDisposable
{
    private const int PageBytes = DirtyLooks.PageBytes;
    private readonly SafeFileHandle _ram;
    private readonly ulong[] _waiting;
    private readonly int[] _bySlice = new int[RamSight.Slices];
    private readonly long _pages;
    private bool _isRam;
    private ulong _slices;
    private int _count;

    private PostponedPages(SafeFileHandle ram, long ramBytes)
    {
        (_ram, _pages) = (ram, ramBytes / PageBytes);
        _waiting = new ulong[(_pages + 63) / 64];
    }

    /// <summary>Of which pages are kept from now on (<see cref="MigrationOrder.PostponedSlices"/>).</summary>
    public ulong Slices
    {
        get => Volatile.Read(ref _slices);
        set => Volatile.Write(ref _slices, value);
    }

    public int Count => Volatile.Read(ref _count);

    /// <summary>Null: the RAM's file cannot be read, and every page goes at once.</summary>
    public static PostponedPages? TryOpen(string? path, long ramBytes)
    {
        try
        {
            var file = path is null || ramBytes < PageBytes ? null : File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            if (file is null || RandomAccess.GetLength(file) < ramBytes)
            {
                file?.Dispose();
                return null;
            }
            return new PostponedPages(file, ramBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>By slice; null: none waits. May be a few pages old.</summary>
    public int[]? BySlice() => Count == 0 ? null : [.. _bySlice];

    /// <summary>QEMU lists a block. Pages wait only if the first is the guest's RAM, as large as its file is taken to be.</summary>
    public void List(int block, ulong length) => _isRam |= block == 0 && length == (ulong)_pages * PageBytes;

    /// <summary>QEMU gives a page. True: it is kept, and must not go over the link.</summary>
    /// <param name="block">Its number; the guest's RAM is the first.</param>
    /// <param name="mayWait">It was never sent, and it can be taken out of the stream.</param>
    public bool Take(int block, ulong address, bool mayWait)
    {
        var page = (long)(address / PageBytes);
        if (!_isRam || block != 0 || page >= _pages)
        {
            return false;
        }
        var slice = (int)(page * RamSight.Slices / _pages);
        ref var word = ref _waiting[page >> 6];
        var bit = 1UL << (int)(page & 63);
        var (waited, waits) = ((word & bit) != 0, mayWait && (Slices >> slice & 1) != 0);
        if (waits != waited)
        {
            word ^= bit;
            var change = waits ? 1 : -1;
            _bySlice[slice] += change;
            Volatile.Write(ref _count, _count + change);
        }
        return waits;
    }

    /// <summary>
    /// Writes what waits, as a section of the RAM like QEMU's own, before the first device section: then the guest stands. Nothing waits afterwards.
    /// </summary>
    /// <param name="space">Where pieces are put together.</param>
    /// <param name="write">Takes so many bytes from the beginning of <paramref name="space"/>.</param>
    /// <exception cref="PolluxException">The RAM's file cannot be read.</exception>
    public void Flush(uint section, string block, Span<byte> space, Action<int> write)
    {
        var used = RamRecords.PutBegin(space, section);
        var isFirst = true;
        for (var n = 0; n < _waiting.Length; n++)
        {
            for (; _waiting[n] != 0; _waiting[n] &= _waiting[n] - 1)
            {
                if (used + RamRecords.MostBytes > space.Length)
                {
                    write(used);
                    used = 0;
                }
                var page = ((long)n << 6) + BitOperations.TrailingZeroCount(_waiting[n]);
                var address = (ulong)page * PageBytes;
                used += isFirst ? RamRecords.PutFirstPage(space[used..], address, block) : RamRecords.PutPage(space[used..], address);
                Read(page, space.Slice(used, PageBytes));
                (used, isFirst) = (used + PageBytes, false);
            }
        }
        write(used + RamRecords.PutEnd(space[used..], section));
        Array.Clear(_bySlice);
        Volatile.Write(ref _count, 0);
    }

    public void Dispose() => _ram.Dispose();

    private void Read(long page, Span<byte> space)
    {
        try
        {
            for (var used = 0; used < space.Length;)
            {
                var read = RandomAccess.Read(_ram, space[used..], (page * PageBytes) + used);
                used += read > 0 ? read : throw new IOException("its file ends there");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PolluxException($"the guest's RAM cannot be read at page {page}: {e.Message}", "see that its file is there; the guest runs on at the source", e);
        }
    }
}
