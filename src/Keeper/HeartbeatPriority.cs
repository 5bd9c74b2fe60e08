using System.Net.Sockets;

namespace Pollux.Keeper;

/// <summary>
/// Heartbeats go before data wherever a queue knows more than one kind: on this host by the socket's priority (Linux's own queues have a band for it), in
/// switches and routers by the mark for network control. Behind data, on a link so slow that its queue holds more than the detection time, the
/// other side would seem dead.
/// </summary>
internal static class HeartbeatPriority
{
    private const int SolSocket = 1;
    private const int SoPriority = 12;
    private const int Interactive = 6; // the highest that needs no privilege

    private const int IpProtoIp = 0;
    private const int IpTos = 1;
    private const int IpProtoIpv6 = 41;
    private const int Ipv6TrafficClass = 67;
    private const int ClassSelector6 = 48 << 2; // RFC 2474; RFC 4594 has it for network control

    public static void Apply(Socket socket)
    {
        var mark = BitConverter.GetBytes(ClassSelector6);
        // An IPv6 socket may carry IPv4.
        socket.SetRawSocketOption(IpProtoIp, IpTos, mark);
        if (socket.AddressFamily == AddressFamily.InterNetworkV6)
        {
            socket.SetRawSocketOption(IpProtoIpv6, Ipv6TrafficClass, mark);
        }
        // After the mark: setting that resets it.
        socket.SetRawSocketOption(SolSocket, SoPriority, BitConverter.GetBytes(Interactive));
    }
}
