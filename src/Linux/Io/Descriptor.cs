using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Pollux.Linux.Io;

/// <summary>What <see cref="Descriptor.Poll"/> waits for and reports (poll.h).</summary>
[Flags]
public enum PollEvents : short
{
    None = 0,
    Readable = 1,
    Writable = 4,
    Error = 8,
    HangUp = 16,
}

/// <summary>
/// Plain reads and writes on descriptors for the data path: spans in, counts out, nothing allocated.
/// A call that would block gives -1; an interrupted one is repeated; any other failure throws <see cref="LinuxException"/>.
/// </summary>
public static unsafe partial class Descriptor
{
    private const int MsgDontWait = 0x40;
    private const int MsgNoSignal = 0x4000;

    /// <summary>Bytes read into <paramref name="space"/>; 0 at the end of the stream; -1 if it would block.</summary>
    public static int Receive(SafeHandle descriptor, Span<byte> space, bool wait)
    {
        fixed (byte* p = space)
        {
            return Repeat(recv((int)descriptor.DangerousGetHandle(), p, (nuint)space.Length, wait ? 0 : MsgDontWait), "recv",
                descriptor, p, space.Length, wait, sending: false);
        }
    }

    /// <summary>Bytes sent; -1 if it would block. Never raises SIGPIPE.</summary>
    public static int Send(SafeHandle descriptor, ReadOnlySpan<byte> bytes, bool wait)
    {
        fixed (byte* p = bytes)
        {
            return Repeat(send((int)descriptor.DangerousGetHandle(), p, (nuint)bytes.Length, MsgNoSignal | (wait ? 0 : MsgDontWait)), "send",
                descriptor, p, bytes.Length, wait, sending: true);
        }
    }

    /// <summary>Sends all of <paramref name="bytes"/>, waiting as long as it takes.</summary>
    public static void SendAll(SafeHandle descriptor, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[Send(descriptor, bytes, wait: true)..];
        }
    }

    /// <summary>Ends both directions of a socket for everybody who holds it, shutdown(2).</summary>
    public static void ShutDown(SafeHandle socket)
    {
        const int both = 2;
        if (shutdown((int)socket.DangerousGetHandle(), both) < 0)
        {
            throw LinuxException.Last("shutdown", "a socket");
        }
    }

    /// <summary>One read(2) on a character device such as a TAP; -1 if it would block.</summary>
    public static int Read(SafeFileHandle descriptor, Span<byte> space)
    {
        fixed (byte* p = space)
        {
            nint n;
            while ((n = read((int)descriptor.DangerousGetHandle(), p, (nuint)space.Length)) < 0)
            {
                switch (Marshal.GetLastPInvokeError())
                {
                    case Errno.Interrupted: continue;
                    case Errno.Again: return -1;
                    default: throw LinuxException.Last("read", "of a device");
                }
            }
            return (int)n;
        }
    }

    /// <summary>One write(2); false if the device does not take it now (queue full, interface down).</summary>
    public static bool TryWrite(SafeFileHandle descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* p = bytes)
        {
            nint n;
            while ((n = write((int)descriptor.DangerousGetHandle(), p, (nuint)bytes.Length)) < 0)
            {
                if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
                {
                    return false;
                }
            }
            return n == bytes.Length;
        }
    }

    /// <summary>Waits for events on one descriptor. <paramref name="timeoutMs"/> -1: for ever. None: the time passed.</summary>
    public static PollEvents Poll(SafeHandle descriptor, PollEvents events, int timeoutMs)
    {
        var request = new PollRequest { Fd = (int)descriptor.DangerousGetHandle(), Events = events };
        while (poll(&request, 1, timeoutMs) < 0)
        {
            if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
            {
                throw LinuxException.Last("poll", "of a descriptor");
            }
        }
        return request.Returned;
    }

    /// <summary>Bytes sent on a Unix stream socket that its peer has not read yet (an upper bound: the kernel counts its own overhead).</summary>
    public static int Unread(Socket socket)
    {
        int pending;
        const nuint siocOutq = 0x5411;
        return ioctl((int)socket.SafeHandle.DangerousGetHandle(), siocOutq, &pending) < 0 ? 0 : pending;
    }

    private static int Repeat(nint first, string call, SafeHandle descriptor, byte* p, int length, bool wait, bool sending)
    {
        var n = first;
        while (n < 0)
        {
            var errno = Marshal.GetLastPInvokeError();
            if (errno == Errno.Again && !wait)
            {
                return -1;
            }
            if (errno == Errno.Again)
            {
                // .NET makes its sockets non-blocking under the hood: wait with poll.
                Poll(descriptor, sending ? PollEvents.Writable : PollEvents.Readable, -1);
            }
            else if (errno != Errno.Interrupted)
            {
                throw new LinuxException(call, "on a socket", errno);
            }
            var fd = (int)descriptor.DangerousGetHandle();
            n = sending ? send(fd, p, (nuint)length, MsgNoSignal) : recv(fd, p, (nuint)length, 0);
        }
        return (int)n;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int Fd;
        public PollEvents Events;
        public PollEvents Returned;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int descriptor, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int fd, byte* buffer, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int fd, byte* buffer, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int poll(PollRequest* requests, nuint count, int timeoutMs);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, int* argument);
}
