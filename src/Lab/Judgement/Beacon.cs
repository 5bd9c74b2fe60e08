using System.Buffers.Binary;
using Pollux.Lab.Network;

namespace Pollux.Lab.Judgement;

/// <summary>What a guest's beacon said once (guest/redis/beacon.c): the next number, and a word that no second try would repeat.</summary>
public readonly record struct Beacon(ulong Number, ulong Word)
{
    private const ulong Magic = 0x504c58424541434f; // "PLXBEACO"
    private const int UdpHeaderBytes = 8;
    private const int MessageBytes = 24;

    /// <summary>Reads a frame; null: it is no beacon's (UDP over IP over Ethernet, also in a VLAN).</summary>
    public static Beacon? TryParse(ReadOnlyMemory<byte> frame)
    {
        if (IpPacket.TryParse(frame) is not { Protocol: IpPacket.Udp } ip || ip.Payload.Length < UdpHeaderBytes + MessageBytes)
        {
            return null;
        }
        var message = ip.Payload.Span[UdpHeaderBytes..];
        return BinaryPrimitives.ReadUInt64BigEndian(message) == Magic
            ? new Beacon(BinaryPrimitives.ReadUInt64BigEndian(message[8..]), BinaryPrimitives.ReadUInt64BigEndian(message[16..]))
            : null;
    }
}
