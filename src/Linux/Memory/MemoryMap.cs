using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Pollux.Core;
using Pollux.Linux.Io;

namespace Pollux.Linux.Memory;

/// <summary>
/// A mapping outside the garbage collector's heap: anonymous, or shared with a file that another process maps too.
/// </summary>
public sealed unsafe partial class MemoryMap : IDisposable
{
    private const int ReadOnly = 1;
    private const int ReadWrite = 3;
    private const int Shared = 0x01;
    private const int Private = 0x02;
    private const int Anonymous = 0x20;
    private const int NoReserve = 0x4000;
    private const int Populate = 0x8000;
    private byte* _start;

    private MemoryMap(byte* start, long length)
    {
        _start = start;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>The first byte. Valid until <see cref="Dispose"/>; the owner sees to it that nobody is left using it.</summary>
    public byte* Start => _start;

    /// <summary>Zeroed memory, present at once so that its first use inside a guest's pause does not fault.</summary>
    public static MemoryMap AllocateAnonymous(long length) =>
        new(Map(length, Private | Anonymous | Populate, -1, "of anonymous memory"), length);

    /// <summary>Zeroed memory that becomes present page by page as it is touched: for tables of which most is never used.</summary>
    public static MemoryMap ReserveAnonymous(long length) =>
        new(Map(length, Private | Anonymous | NoReserve, -1, "of reserved memory"), length);

    /// <summary>
    /// Creates a file of <paramref name="length"/> bytes, fully allocated, and maps it shared.
    /// Fully allocated or refused: a tmpfs that fills up later kills its user with SIGBUS.
    /// </summary>
    public static MemoryMap CreateFile(string path, long length)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite);
        var failed = posix_fallocate((int)file.DangerousGetHandle(), 0, (nint)length);
        if (failed != 0)
        {
            File.Delete(path);
            throw failed == Errno.NoSpace
                ? new PolluxException(
                    $"{Path.GetDirectoryName(path)} has no room for {length >> 20} MiB of guest RAM",
                    "stop a VM, or enlarge that tmpfs (mount -o remount,size=…)")
                : new LinuxException("fallocate", path, failed);
        }
        return MapShared(file, path, length);
    }

    /// <summary>Maps an existing file shared, whole.</summary>
    public static MemoryMap OpenFile(string path)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        return MapShared(file, path, RandomAccess.GetLength(file));
    }

    /// <summary>Maps an existing file shared, whole, to be read only: a write is a fault of this process.</summary>
    public static MemoryMap OpenReadOnly(string path)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var length = RandomAccess.GetLength(file);
        return new(Map(length, Shared, (int)file.DangerousGetHandle(), $"of {path}", ReadOnly), length);
    }

    public Span<byte> Span(long offset, int length)
    {
        Invariant.Check(offset >= 0 && length >= 0 && offset + length <= Length, "an access stays inside its mapping");
        return new Span<byte>(_start + offset, length);
    }

    public void Dispose()
    {
        if (_start != null)
        {
            _ = munmap(_start, (nuint)Length);
            _start = null;
        }
    }

    private static MemoryMap MapShared(SafeFileHandle file, string path, long length) =>
        new(Map(length, Shared, (int)file.DangerousGetHandle(), $"of {path}"), length);

    private static byte* Map(long length, int flags, int fd, string subject, int protection = ReadWrite)
    {
        var start = mmap(null, (nuint)length, protection, flags, fd, 0);
        return start != (byte*)-1 ? start : throw LinuxException.Last("mmap", subject);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial byte* mmap(byte* address, nuint length, int protection, int flags, int fd, nint offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munmap(byte* address, nuint length);

    [LibraryImport("libc")]
    private static partial int posix_fallocate(int fd, nint offset, nint length);
}
