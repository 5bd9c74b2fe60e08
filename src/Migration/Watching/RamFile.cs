using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Pollux.Migration.Policies;

namespace Pollux.Migration.Watching;

/// <summary>The file that QEMU shares as a guest's RAM, watched while the guest writes it. One thread uses it.</summary>
internal sealed class RamFile : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly byte[] _page = new byte[DirtyLooks.PageBytes];

    private RamFile(SafeFileHandle file, long ramBytes, Random random)
    {
        _file = file;
        var begin = Stopwatch.GetTimestamp();
        Sampler = new RamSampler(ramBytes / DirtyLooks.PageBytes, Read, random, () => Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
    }

    public RamSampler Sampler { get; }

    /// <summary>Null: it cannot be read, and the migration does without.</summary>
    public static RamFile? TryOpen(string path, long ramBytes, Random random)
    {
        try
        {
            return ramBytes < DirtyLooks.PageBytes ? null : new RamFile(File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite), ramBytes, random);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public void Dispose() => _file.Dispose();

    /// <summary>Reading a hole does not fill it; what lies beyond the end is zero.</summary>
    private PageSeen Read(long number)
    {
        var length = RandomAccess.Read(_file, _page, number * DirtyLooks.PageBytes);
        _page.AsSpan(length).Clear();
        var sum = 0u;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(_page))
        {
            sum = BitOperations.Crc32C(sum, word);
        }
        return new PageSeen(sum, !_page.AsSpan().ContainsAnyExcept((byte)0));
    }
}
