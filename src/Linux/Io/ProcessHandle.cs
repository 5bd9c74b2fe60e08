using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Pollux.Linux.Io;

/// <summary>
/// A pidfd: one process for certain, child or not, however often its number is used again.
/// </summary>
public sealed partial class ProcessHandle : IDisposable
{
    private const int Sigkill = 9;
    private const nint SyscallPidfdOpen = 434;
    private const nint SyscallPidfdSendSignal = 424;
    private const nint SyscallPidfdGetfd = 438;
    private readonly SafeFileHandle _handle;

    private ProcessHandle(int pid, SafeFileHandle handle) => (Pid, _handle) = (pid, handle);

    public int Pid { get; }

    /// <summary>Null when there is no such process (the number may be that of a thread).</summary>
    /// <exception cref="LinuxException">It cannot be known: no descriptor is left.</exception>
    public static ProcessHandle? TryOpen(int pid)
    {
        var fd = syscall2(SyscallPidfdOpen, pid, 0);
        if (fd < 0)
        {
            return Marshal.GetLastPInvokeError() is Errno.NoSuchProcess or Errno.NoEntry or Errno.Invalid ? null : throw LinuxException.Last("pidfd_open", $"of process {pid}");
        }
        return new ProcessHandle(pid, new SafeFileHandle((nint)fd, ownsHandle: true));
    }

    /// <summary>Waits for the end of the process.</summary>
    /// <param name="timeoutMs">-1: for ever.</param>
    /// <returns>False: it still runs.</returns>
    public bool WaitForExit(int timeoutMs) => Descriptor.Poll(_handle, PollEvents.Readable, timeoutMs) != PollEvents.None;

    public void Kill() => syscall4(SyscallPidfdSendSignal, _handle.DangerousGetHandle(), Sigkill, 0, 0);

    /// <summary>A copy of one of the process's descriptors; null when it has none of that number. Needs the right to trace the process.</summary>
    public SafeFileHandle? TryCopyDescriptor(int descriptor)
    {
        var fd = syscall4(SyscallPidfdGetfd, _handle.DangerousGetHandle(), descriptor, 0, 0);
        return fd < 0 ? null : new SafeFileHandle((nint)fd, ownsHandle: true);
    }

    public void Dispose() => _handle.Dispose();

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint syscall2(nint number, nint a, nint b);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint syscall4(nint number, nint a, nint b, nint c, nint d);
}
