using Pollux.Core;
using Pollux.Replication.Checkpointing;

namespace Pollux.Simulation.Shipping;

/// <summary>A guest's memory as QEMU streams it: RAM and a small block of QEMU's own, changed at random from epoch to epoch.</summary>
internal sealed class GuestMemory(Random random)
{
    public const string RamBlock = "ram0";
    public const string SmallBlock = "pc.bios";
    public const int PageBytes = 4096;
    public const int RamPages = 512;
    public const int SmallPages = 4;
    private readonly byte[] _ram = new byte[RamPages * PageBytes];
    private readonly byte[] _small = new byte[SmallPages * PageBytes];
    private readonly RamStreamText _stream = new();

    /// <summary>What the standby must hold after an epoch.</summary>
    public sealed record Snapshot(byte[] Ram, byte[] Small, byte[] Device);

    /// <summary>Runs the guest, stops it, and gives its whole state and the stream of what has changed.</summary>
    public (Snapshot State, byte[] Ram, byte[] Device) Cut(Epoch epoch)
    {
        if (epoch.Value == 0)
        {
            _stream.Begin((RamBlock, RamPages * PageBytes), (SmallBlock, SmallPages * PageBytes));
        }
        _stream.Section(3);
        var pages = random.Next(6) == 0 ? RamPages : random.Next(20);
        for (var i = 0; i < pages; i++)
        {
            Change(RamBlock, _ram, random.Next(RamPages));
        }
        if (epoch.Value == 0 || random.Next(3) == 0)
        {
            Change(SmallBlock, _small, random.Next(SmallPages));
        }
        _stream.EndSection();
        if (epoch.Value > 0)
        {
            _stream.End();
        }
        var device = new byte[1 + random.Next(10_000)];
        random.NextBytes(device);
        device[0] = 4; // the first copy's RAM ends where a full section begins
        return (new Snapshot([.. _ram], [.. _small], device), _stream.Cut(), device);
    }

    public static void Fill(EpochBuffer buffer, ReadOnlySpan<byte> ram, ReadOnlySpan<byte> device)
    {
        while (ram.Length > 0)
        {
            var space = buffer.RamSpace();
            var bytes = Math.Min(space.Length, ram.Length);
            ram[..bytes].CopyTo(space);
            buffer.RamFilled(bytes);
            ram = ram[bytes..];
        }
        buffer.AppendDevice(device);
        buffer.Complete();
    }

    /// <summary>As guests write: zeros, again what it held once or holds now, some bytes, or all of it.</summary>
    private void Change(string block, byte[] memory, int page)
    {
        var content = memory.AsSpan(page * PageBytes, PageBytes);
        switch (random.Next(8))
        {
            case 0 or 1:
                content.Clear();
                _stream.Page(block, (ulong)(page * PageBytes));
                return;
            case 2:
                content.Fill((byte)(page | 1));
                break;
            case 3:
                break;
            case 4 or 5:
                content[random.Next(PageBytes)]++;
                break;
            default:
                random.NextBytes(content);
                break;
        }
        _stream.Page(block, (ulong)(page * PageBytes), content);
    }
}
