using Pollux.Core;

namespace Pollux.Replication.Network;

/// <summary>
/// The source addresses that left each NIC, so that a takeover can tell the switches where they are now: a MAC and, for a tagged
/// frame, its VLAN. Bounded; a bridge in the guest may show many.
/// </summary>
public sealed class SourceTable
{
    private const int MaxSources = 256;

    /// <summary>NIC (1 byte), MAC (6 bytes), VLAN tag control (2 bytes, big-endian, 0 = untagged).</summary>
    public const int EntryBytes = 9;

    private readonly Lock _lock = new();
    private readonly HashSet<ulong> _known = [];

    /// <summary>Notes the source of a frame; true when it is new.</summary>
    public bool Note(int nic, ReadOnlySpan<byte> frame) => frame.Length >= 14 && Add(KeyOf(nic, frame));

    /// <summary>The frame is the guest's own: a switch that floods gives it back.</summary>
    public bool Contains(int nic, ReadOnlySpan<byte> frame)
    {
        lock (_lock)
        {
            return frame.Length >= 14 && _known.Contains(KeyOf(nic, frame));
        }
    }

    /// <summary>All sources, <see cref="EntryBytes"/> each.</summary>
    public byte[] ToBytes()
    {
        lock (_lock)
        {
            var bytes = new byte[_known.Count * EntryBytes];
            var at = 0;
            foreach (var key in _known)
            {
                bytes[at] = (byte)(key >> 60);
                for (var i = 0; i < 6; i++)
                {
                    bytes[at + 1 + i] = (byte)(key >> (40 - (8 * i)));
                }
                var vlan = (ushort)((key >> 48) & 0xfff);
                (bytes[at + 7], bytes[at + 8]) = ((byte)(vlan >> 8), (byte)vlan);
                at += EntryBytes;
            }
            return bytes;
        }
    }

    public void Merge(ReadOnlySpan<byte> entries)
    {
        for (; entries.Length >= EntryBytes; entries = entries[EntryBytes..])
        {
            var vlan = (ulong)((entries[7] << 8) | entries[8]) & 0xfff;
            Add(((ulong)entries[0] << 60) | (vlan << 48) | Mac(entries[1..7]));
        }
    }

    /// <summary>
    /// A RARP request of its own for each source, as QEMU's announce-self sends: broadcast, so that every switch on the way learns the
    /// port (net/announce.c).
    /// </summary>
    public IReadOnlyList<(int Nic, byte[] Frame)> Announcements()
    {
        var entries = ToBytes();
        var frames = new List<(int, byte[])>();
        for (var at = 0; at < entries.Length; at += EntryBytes)
        {
            frames.Add((entries[at], Rarp(entries.AsSpan(at + 1, 6), (entries[at + 7] << 8) | entries[at + 8])));
        }
        return frames;
    }

    private bool Add(ulong key)
    {
        lock (_lock)
        {
            return _known.Count < MaxSources && _known.Add(key);
        }
    }

    private static ulong KeyOf(int nic, ReadOnlySpan<byte> frame)
    {
        var tagged = frame.Length >= 18 && frame[12] == 0x81 && frame[13] == 0x00;
        var vlan = tagged ? (ulong)((frame[14] << 8) | frame[15]) & 0xfff : 0;
        return ((ulong)nic << 60) | (vlan << 48) | Mac(frame[6..12]);
    }

    private static ulong Mac(ReadOnlySpan<byte> bytes)
    {
        var mac = 0ul;
        foreach (var b in bytes)
        {
            mac = (mac << 8) | b;
        }
        return mac;
    }

    private static byte[] Rarp(ReadOnlySpan<byte> mac, int vlan)
    {
        const int leastFrameBytes = 60;
        var tag = vlan == 0 ? 0 : 4;
        var frame = new byte[leastFrameBytes + tag];
        frame.AsSpan(0, 6).Fill(0xff);
        mac.CopyTo(frame.AsSpan(6));
        if (tag > 0)
        {
            ReadOnlySpan<byte> header = [0x81, 0x00, (byte)(vlan >> 8), (byte)vlan];
            header.CopyTo(frame.AsSpan(12));
        }
        // Ethertype RARP; Ethernet, IPv4, 6 and 4 bytes of address, operation 3 (request reverse).
        ReadOnlySpan<byte> rarp = [0x80, 0x35, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x03];
        rarp.CopyTo(frame.AsSpan(12 + tag));
        mac.CopyTo(frame.AsSpan(22 + tag));
        mac.CopyTo(frame.AsSpan(32 + tag));
        return frame;
    }
}
