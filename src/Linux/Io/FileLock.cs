using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Pollux.Linux.Io;

/// <summary>An exclusive flock(2), held until disposed or until the process dies: who has it owns the directory beside it.</summary>
public sealed partial class FileLock : IDisposable
{
    private const int Exclusive = 2;
    private const int NonBlocking = 4;
    private readonly SafeFileHandle _handle;

    private FileLock(SafeFileHandle handle) => _handle = handle;

    /// <summary>Null when another process holds it. The file is created with mode 0600 and left in place.</summary>
    public static FileLock? TryTake(string path)
    {
        var handle = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (flock((int)handle.DangerousGetHandle(), Exclusive | NonBlocking) == 0)
        {
            return new FileLock(handle);
        }
        handle.Dispose();
        return null;
    }

    public void Dispose() => _handle.Dispose();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int fd, int operation);
}
