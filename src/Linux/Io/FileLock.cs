using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Pollux.Linux.Io;

/// <summary>An exclusive flock(2), held until disposed or until the process dies: who has it owns the directory beside it.</summary>
public sealed partial class FileLock : IDisposable
{
    private const int Exclusive = 2;
    private const int NonBlocking = 4;
    private const int ReadWrite = 2;
    private const int Create = 0x40;
    private const int CloseOnExec = 0x80000;
    private const uint OwnerOnly = 0x180; // 0600
    private readonly SafeFileHandle _handle;

    private FileLock(SafeFileHandle handle) => _handle = handle;

    /// <summary>Null when another process holds it. The file is created with mode 0600 and left in place.</summary>
    public static FileLock? TryTake(string path)
    {
        // Not through File: .NET itself takes a shared flock on what it opens.
        var descriptor = open(path, ReadWrite | Create | CloseOnExec, OwnerOnly);
        if (descriptor < 0)
        {
            throw LinuxException.Last("open", path);
        }
        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (flock((int)handle.DangerousGetHandle(), Exclusive | NonBlocking) == 0)
        {
            return new FileLock(handle);
        }
        handle.Dispose();
        return null;
    }

    public void Dispose() => _handle.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int fd, int operation);
}
