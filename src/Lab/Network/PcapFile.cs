using System.Buffers.Binary;
using System.Net;
using Pollux.Core;

namespace Pollux.Lab.Network;

/// <summary>A TCP segment as it passed the switch. Times are Unix milliseconds with fraction.</summary>
/// <param name="PayloadBytes">As the IP header says; the capture may hold less of them in <paramref name="Payload"/>.</param>
public sealed record TcpSegment(
    double UnixMs, IPAddress From, int FromPort, IPAddress To, int ToPort,
    TcpFlags Flags, uint Sequence, uint Acknowledged, int PayloadBytes, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Reads a frame; null: it is not TCP over IP over Ethernet.</summary>
    public static TcpSegment? TryParse(double unixMs, ReadOnlyMemory<byte> frame)
    {
        const int minimalTcp = 20;
        if (IpPacket.TryParse(frame) is not { Protocol: IpPacket.Tcp } ip || ip.Payload.Length < minimalTcp)
        {
            return null;
        }
        var tcp = ip.Payload.Span;
        var header = (tcp[12] >> 4) * 4;
        return new TcpSegment(unixMs,
            ip.From, BinaryPrimitives.ReadUInt16BigEndian(tcp), ip.To, BinaryPrimitives.ReadUInt16BigEndian(tcp[2..]),
            (TcpFlags)(tcp[13] & 0x1f), BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]), BinaryPrimitives.ReadUInt32BigEndian(tcp[8..]),
            Math.Max(0, ip.PayloadBytes - header), ip.Payload[Math.Min(header, ip.Payload.Length)..]);
    }
}

/// <summary>Control bits of TCP (RFC 9293, section 3.1).</summary>
[Flags]
public enum TcpFlags : byte
{
    None = 0,
    Fin = 1,
    Syn = 2,
    Rst = 4,
    Psh = 8,
    Ack = 16,
}

/// <summary>Reads the pcap files that tcpdump writes (draft-ietf-opsawg-pcap; Ethernet, microseconds, little endian).</summary>
public static class PcapFile
{
    private const uint Magic = 0xa1b2c3d4;
    private const int FileHeaderBytes = 24;
    private const int RecordHeaderBytes = 16;

    /// <summary>Frames with their times; a record that the end of the file cuts off is left out.</summary>
    /// <exception cref="PolluxException">Not such a file.</exception>
    public static IEnumerable<(double UnixMs, ReadOnlyMemory<byte> Frame)> ReadFrames(string path)
    {
        ReadOnlyMemory<byte> file = File.ReadAllBytes(path);
        if (file.Length < FileHeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(file.Span) != Magic)
        {
            throw new PolluxException($"{path} is no pcap file of microseconds in little endian");
        }
        for (var at = FileHeaderBytes; at + RecordHeaderBytes <= file.Length;)
        {
            var header = file.Span.Slice(at, RecordHeaderBytes);
            var unixMs = BinaryPrimitives.ReadUInt32LittleEndian(header) * 1e3 + BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) / 1e3;
            var length = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
            at += RecordHeaderBytes;
            if (length < 0 || at + length > file.Length)
            {
                yield break;
            }
            yield return (unixMs, file.Slice(at, length));
            at += length;
        }
    }

    /// <summary>The TCP segments over IPv4, in the order in which they passed.</summary>
    public static IEnumerable<TcpSegment> ReadTcp(string path) =>
        ReadFrames(path).Select(f => TcpSegment.TryParse(f.UnixMs, f.Frame)).OfType<TcpSegment>();
}
