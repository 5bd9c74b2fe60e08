using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Pollux.Core;
using Pollux.Linux.Io;

namespace Pollux.Linux.Namespaces;

/// <summary>
/// Takes interfaces of one network namespace up and down within microseconds: the socket for it is open beforehand
/// (netdevice(7), SIOCSIFFLAGS).
/// </summary>
public sealed unsafe partial class InterfacePower : IDisposable
{
    private const nuint GetFlags = 0x8913;
    private const nuint SetFlags = 0x8914;
    private const short Up = 0x1;
    private const int NameBytes = 16;
    private readonly Socket _control;

    private InterfacePower(Socket control) => _control = control;

    public static InterfacePower Of(string networkNamespace) =>
        new(NetworkNamespace.OpenSocket(networkNamespace, AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));

    /// <exception cref="LinuxException">There is no such interface.</exception>
    public bool IsUp(string name) => (Read(name).Flags & Up) != 0;

    /// <exception cref="LinuxException">There is no such interface.</exception>
    public void Set(string name, bool up)
    {
        var request = Read(name);
        request.Flags = (short)(up ? request.Flags | Up : request.Flags & ~Up);
        Control(SetFlags, &request, name);
    }

    public void Dispose() => _control.Dispose();

    private InterfaceRequest Read(string name)
    {
        Invariant.Check(Encoding.ASCII.GetByteCount(name) < NameBytes, "an interface name has at most 15 bytes");
        var request = default(InterfaceRequest);
        Encoding.ASCII.GetBytes(name, new Span<byte>(request.Name, NameBytes));
        Control(GetFlags, &request, name);
        return request;
    }

    private void Control(nuint what, InterfaceRequest* request, string name)
    {
        if (ioctl((int)_control.SafeHandle.DangerousGetHandle(), what, request) < 0)
        {
            throw LinuxException.Last("ioctl", $"on interface {name}");
        }
    }

    /// <summary>struct ifreq: a name and a union of which only the flags are used.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct InterfaceRequest
    {
        public fixed byte Name[NameBytes];
        public short Flags;
        public fixed byte Rest[22];
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, InterfaceRequest* argument);
}
