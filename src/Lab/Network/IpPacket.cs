using System.Buffers.Binary;
using System.Net;

namespace Pollux.Lab.Network;

/// <summary>An IP packet inside an Ethernet frame, with or without a VLAN's tag. Fragments and IPv6 extension headers are not read.</summary>
/// <param name="Protocol">6: TCP, 17: UDP.</param>
/// <param name="Payload">What the capture holds of what follows the IP header.</param>
/// <param name="PayloadBytes">As the header says; larger when the capture cut the frame.</param>
internal readonly record struct IpPacket(IPAddress From, IPAddress To, byte Protocol, ReadOnlyMemory<byte> Payload, int PayloadBytes)
{
    public const byte Tcp = 6;
    public const byte Udp = 17;
    private const int MacsBytes = 12;
    private const ushort VlanTag = 0x8100;
    private const ushort EtherTypeIpv4 = 0x0800;
    private const ushort EtherTypeIpv6 = 0x86dd;
    private const int Ipv4HeaderBytes = 20;
    private const int Ipv6HeaderBytes = 40;

    public static IpPacket? TryParse(ReadOnlyMemory<byte> frame)
    {
        var at = MacsBytes;
        while (frame.Length >= at + 4 && TypeAt(frame, at) == VlanTag)
        {
            at += 4;
        }
        return frame.Length < at + 2 ? null : TypeAt(frame, at) switch
        {
            EtherTypeIpv4 => ParseIpv4(frame[(at + 2)..]),
            EtherTypeIpv6 => ParseIpv6(frame[(at + 2)..]),
            _ => null,
        };
    }

    private static ushort TypeAt(ReadOnlyMemory<byte> frame, int at) => BinaryPrimitives.ReadUInt16BigEndian(frame.Span[at..]);

    private static IpPacket? ParseIpv4(ReadOnlyMemory<byte> packet)
    {
        var ip = packet.Span;
        if (ip.Length < Ipv4HeaderBytes || (ip[0] & 0xf) * 4 is var header && (header < Ipv4HeaderBytes || ip.Length < header))
        {
            return null;
        }
        var payloadBytes = Math.Max(0, BinaryPrimitives.ReadUInt16BigEndian(ip[2..]) - header);
        return new IpPacket(new IPAddress(ip.Slice(12, 4)), new IPAddress(ip.Slice(16, 4)), ip[9], Cut(packet[header..], payloadBytes), payloadBytes);
    }

    private static IpPacket? ParseIpv6(ReadOnlyMemory<byte> packet)
    {
        var ip = packet.Span;
        if (ip.Length < Ipv6HeaderBytes)
        {
            return null;
        }
        var payloadBytes = BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
        return new IpPacket(new IPAddress(ip.Slice(8, 16)), new IPAddress(ip.Slice(24, 16)), ip[6], Cut(packet[Ipv6HeaderBytes..], payloadBytes), payloadBytes);
    }

    /// <summary>Short frames are padded.</summary>
    private static ReadOnlyMemory<byte> Cut(ReadOnlyMemory<byte> captured, int payloadBytes) => captured[..Math.Min(captured.Length, payloadBytes)];
}
