using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Pollux.Core;
using Pollux.Linux.Io;

namespace Pollux.Linux.Net;

/// <summary>
/// A TAP device on a bridge: what a guest's NIC is to the host's network. It exists while this object (or its process) lives.
/// IPv6 is off on it, so that the host itself says nothing through it.
/// </summary>
public sealed unsafe partial class TapDevice : IDisposable
{
    private const int NameBytes = 16;
    private const nuint TunSetIff = 0x400454ca;
    private const nuint BridgeAddInterface = 0x89a2;
    private const nuint SetFlags = 0x8914;
    private const short IffTap = 0x0002;
    private const short IffNoPacketInfo = 0x1000;
    private const short IffUp = 0x1;
    private const short IffRunning = 0x40;

    private TapDevice(string name, SafeFileHandle handle) => (Name, Handle) = (name, handle);

    public string Name { get; }

    /// <summary>Non-blocking; one read or write is one Ethernet frame.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Creates the device, attaches it to <paramref name="bridge"/> and brings it up.</summary>
    /// <param name="name">At most 15 bytes.</param>
    public static TapDevice Create(string name, string bridge)
    {
        Invariant.Check(Encoding.ASCII.GetByteCount(name) < NameBytes, "an interface name has at most 15 bytes");
        var bridgeIndex = InterfaceIndex(bridge);
        if (bridgeIndex == 0)
        {
            throw new PolluxException($"there is no bridge '{bridge}' on this host", $"create it: ip link add {bridge} type bridge; ip link set {bridge} up");
        }
        var handle = OpenTun(name);
        try
        {
            DisableIpv6(name);
            var index = InterfaceIndex(name);
            using var control = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            Ioctl(control.SafeHandle, BridgeAddInterface, bridge, index, $"adding {name} to bridge {bridge}");
            Ioctl(control.SafeHandle, SetFlags, name, IffUp | IffRunning, $"bringing {name} up");
            return new TapDevice(name, handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose() => Handle.Dispose();

    private static SafeFileHandle OpenTun(string name)
    {
        const int readWriteNonBlockingCloseOnExec = 0x2 | 0x800 | 0x80000;
        var fd = open("/dev/net/tun", readWriteNonBlockingCloseOnExec);
        if (fd < 0)
        {
            throw new PolluxException(
                $"/dev/net/tun cannot be opened ({Marshal.GetLastPInvokeErrorMessage()})",
                "load the tun module (modprobe tun) and run as root");
        }
        var handle = new SafeFileHandle(fd, ownsHandle: true);
        try
        {
            Ioctl(handle, TunSetIff, name, IffTap | IffNoPacketInfo, $"creating TAP {name}");
            return handle;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static void DisableIpv6(string name)
    {
        var knob = $"/proc/sys/net/ipv6/conf/{name}/disable_ipv6";
        if (File.Exists(knob))
        {
            try
            {
                File.WriteAllText(knob, "1");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A read-only /proc/sys (a container): the device still works, the host may say a router solicitation through it.
            }
        }
    }

    private static int InterfaceIndex(string name) => (int)if_nametoindex(name);

    /// <summary>An ioctl on <c>struct ifreq</c>: 16 bytes of name, then a union whose first int is the argument.</summary>
    private static void Ioctl(SafeHandle descriptor, nuint request, string name, int argument, string subject)
    {
        const int ifreqBytes = 40;
        var ifreq = stackalloc byte[ifreqBytes];
        new Span<byte>(ifreq, ifreqBytes).Clear();
        Encoding.ASCII.GetBytes(name, new Span<byte>(ifreq, NameBytes));
        *(int*)(ifreq + NameBytes) = argument;
        if (ioctl((int)descriptor.DangerousGetHandle(), request, ifreq) < 0)
        {
            throw LinuxException.Last("ioctl", subject);
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, byte* ifreq);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial uint if_nametoindex(string name);
}
