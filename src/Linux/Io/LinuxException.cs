using System.Runtime.InteropServices;
using Pollux.Core;

namespace Pollux.Linux.Io;

/// <summary>A system call that failed, with its name and errno in words.</summary>
public sealed class LinuxException : PolluxException
{
    public LinuxException(string call, string subject, int errno)
        : base($"{call} {subject} failed: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})") => Errno = errno;

    public int Errno { get; }

    internal static LinuxException Last(string call, string subject) => new(call, subject, Marshal.GetLastPInvokeError());
}

/// <summary>The errno values that callers tell apart (asm-generic/errno-base.h, errno.h).</summary>
public static class Errno
{
    public const int NoEntry = 2;
    public const int NoSuchProcess = 3;
    public const int Interrupted = 4;
    public const int Again = 11;
    public const int Busy = 16;
    public const int Invalid = 22;
    public const int NoSpace = 28;
}
