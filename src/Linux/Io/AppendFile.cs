using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Pollux.Linux.Io;

/// <summary>
/// A file that grows at its end, written by several processes at once: each write lands whole behind the others (O_APPEND). .NET's own
/// append remembers a position instead, and would overwrite.
/// </summary>
public sealed unsafe partial class AppendFile : IDisposable
{
    private const int WriteOnly = 1;
    private const int Create = 0x40;
    private const int Append = 0x400;
    private const int CloseOnExec = 0x80000;
    private const uint OwnerWrites = 0x180; // 0600
    private readonly SafeFileHandle _handle;
    private readonly string _path;

    private AppendFile(SafeFileHandle handle, string path) => (_handle, _path) = (handle, path);

    /// <summary>Opens the file, or creates it with mode 0600.</summary>
    /// <exception cref="LinuxException">It cannot be opened.</exception>
    public static AppendFile Open(string path)
    {
        var descriptor = open(path, WriteOnly | Create | Append | CloseOnExec, OwnerWrites);
        return descriptor < 0 ? throw LinuxException.Last("open", path) : new AppendFile(new SafeFileHandle(descriptor, ownsHandle: true), path);
    }

    /// <summary>Its length in bytes, with what others wrote.</summary>
    public long Length => RandomAccess.GetLength(_handle);

    /// <summary>One write(2).</summary>
    /// <exception cref="LinuxException">It was not taken whole (no space).</exception>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (!Descriptor.TryWrite(_handle, bytes))
        {
            throw LinuxException.Last("write", _path);
        }
    }

    /// <summary>Makes this file the process's standard error, in the place of what that was.</summary>
    public void BecomeStandardError()
    {
        const int standardError = 2;
        if (dup2((int)_handle.DangerousGetHandle(), standardError) < 0)
        {
            throw LinuxException.Last("dup2", _path);
        }
    }

    public void Dispose() => _handle.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(int from, int to);
}
