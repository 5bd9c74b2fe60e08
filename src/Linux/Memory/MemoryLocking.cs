using System.Runtime.InteropServices;

namespace Pollux.Linux.Memory;

/// <summary>Keeps a process's memory from being paged out, so that a takeover never waits for a disk.</summary>
public static partial class MemoryLocking
{
    private const int Current = 1;
    private const int Future = 2;
    private const int OnFault = 4;

    /// <summary>
    /// Locks what is and will be touched. On fault only: locking all that .NET reserves would cost over 100 MB.
    /// False when the system does not allow it.
    /// </summary>
    public static bool TryLockAll() => mlockall(Current | Future | OnFault) == 0;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mlockall(int flags);
}
