using System.Buffers.Binary;

namespace Pollux.Lab.Judgement;

/// <summary>What a guest's beacon said once (guest/redis/beacon.c): the next number, and a word that no second try would repeat.</summary>
public readonly record struct Beacon(ulong Number, ulong Word)
{
    private const ulong Magic = 0x504c58424541434f; // "PLXBEACO"
    private const int EthernetBytes = 14;
    private const int UdpHeaderBytes = 8;
    private const int MessageBytes = 24;
    private const byte ProtocolUdp = 17;

    /// <summary>Reads a frame; null: it is no beacon's (UDP over IPv4 over Ethernet).</summary>
    public static Beacon? TryParse(ReadOnlySpan<byte> frame)
    {
        if (frame.Length < EthernetBytes + 20 || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != 0x0800 || frame[EthernetBytes + 9] != ProtocolUdp)
        {
            return null;
        }
        var at = EthernetBytes + (frame[EthernetBytes] & 0xf) * 4 + UdpHeaderBytes;
        return frame.Length >= at + MessageBytes && BinaryPrimitives.ReadUInt64BigEndian(frame[at..]) == Magic
            ? new Beacon(BinaryPrimitives.ReadUInt64BigEndian(frame[(at + 8)..]), BinaryPrimitives.ReadUInt64BigEndian(frame[(at + 16)..]))
            : null;
    }
}
