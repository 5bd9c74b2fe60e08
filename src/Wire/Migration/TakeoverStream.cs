using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using static Pollux.Wire.Migration.MigrationFormat;

namespace Pollux.Wire.Migration;

/// <summary>A block as the waiting QEMU must have it. Empty <see cref="Content"/>: shared with it, so only named, not sent.</summary>
/// <param name="Length">In bytes.</param>
public sealed record TakeoverBlock(string Name, ulong Length, ReadOnlyMemory<byte> Content);

/// <summary>
/// The stream that resumes a guest in a QEMU which waits with <c>-incoming</c>, the capability <c>x-ignore-shared</c> and the guest's RAM
/// already in its shared file. It holds the small blocks (BIOS, option ROMs, ACPI tables) and the device state, so its length, and the
/// time it takes, do not grow with the guest's RAM.
/// </summary>
public static class TakeoverStream
{
    private const uint SectionId = 2;

    /// <summary>Writes the whole stream.</summary>
    /// <param name="machineType">Versioned, as <see cref="RamStreamScanner.MachineType"/> gave it.</param>
    /// <param name="blocks">All blocks of the source, in its order. Content has the block's length.</param>
    /// <param name="deviceState">FULL sections and the EOF byte.</param>
    public static void Compose(IBufferWriter<byte> output, string machineType, IReadOnlyList<TakeoverBlock> blocks, ReadOnlySpan<byte> deviceState)
    {
        if (deviceState is not [SectionFull, .., Eof])
        {
            throw new ArgumentException("device state begins with a FULL section and ends with EOF", nameof(deviceState));
        }

        WriteHead(output, machineType);
        WriteBlockList(output, blocks);
        WriteContents(output, blocks);
        output.Write(deviceState);

        // QEMU complains about a stream without a description, and skips the text of this one.
        WriteByte(output, Description);
        WriteUInt32(output, 2);
        output.Write("{}"u8);
    }

    private static void WriteHead(IBufferWriter<byte> output, string machineType)
    {
        WriteUInt32(output, Magic);
        WriteUInt32(output, MigrationFormat.Version);
        WriteByte(output, Configuration);
        WriteUInt32(output, (uint)Encoding.UTF8.GetByteCount(machineType));
        output.Write(Encoding.UTF8.GetBytes(machineType));

        // Without this subsection QEMU refuses: it has a capability on that the source seems not to have.
        WriteByte(output, Subsection);
        WriteName(output, CapabilitiesSubsection);
        WriteUInt32(output, 1); // its version
        WriteUInt32(output, 1); // capabilities that follow
        WriteName(output, IgnoreShared);
    }

    private static void WriteBlockList(IBufferWriter<byte> output, IReadOnlyList<TakeoverBlock> blocks)
    {
        WriteByte(output, SectionStart);
        WriteUInt32(output, SectionId);
        WriteName(output, RamSectionName);
        WriteUInt32(output, 0); // instance
        WriteUInt32(output, RamSectionVersion);

        ulong total = 0;
        foreach (var block in blocks)
        {
            total += block.Length;
        }

        WriteUInt64(output, total | MemSize);
        foreach (var block in blocks)
        {
            WriteName(output, Encoding.UTF8.GetBytes(block.Name));
            WriteUInt64(output, block.Length);
            WriteUInt64(output, 0); // the block's address in its region: compared for shared blocks, which are mapped whole
        }

        EndSection(output);
    }

    private static void WriteContents(IBufferWriter<byte> output, IReadOnlyList<TakeoverBlock> blocks)
    {
        WriteByte(output, SectionEnd);
        WriteUInt32(output, SectionId);
        foreach (var block in blocks)
        {
            if (!block.Content.IsEmpty)
            {
                WriteContent(output, block);
            }
        }

        EndSection(output);
    }

    private static void WriteContent(IBufferWriter<byte> output, TakeoverBlock block)
    {
        var content = block.Content.Span;
        if ((ulong)content.Length != block.Length)
        {
            throw new ArgumentException($"block '{block.Name}' has {block.Length} bytes, its content {content.Length}");
        }

        var last = new byte[PageSize];
        for (var at = 0; at < content.Length; at += PageSize)
        {
            var page = content[at..Math.Min(content.Length, at + PageSize)];
            if (page.Length < PageSize)
            {
                page.CopyTo(last);
                page = last;
            }

            var zero = page.IndexOfAnyExcept((byte)0) < 0;
            WriteUInt64(output, (uint)at | (zero ? Zero : Page) | (at > 0 ? Continue : 0));
            if (at == 0)
            {
                WriteName(output, Encoding.UTF8.GetBytes(block.Name));
            }

            output.Write(zero ? page[..1] : page);
        }
    }

    private static void EndSection(IBufferWriter<byte> output)
    {
        WriteUInt64(output, EndOfSection);
        WriteByte(output, SectionFooter);
        WriteUInt32(output, SectionId);
    }

    private static void WriteName(IBufferWriter<byte> output, ReadOnlySpan<byte> name)
    {
        WriteByte(output, checked((byte)name.Length));
        output.Write(name);
    }

    private static void WriteByte(IBufferWriter<byte> output, byte value) => output.Write([value]);

    private static void WriteUInt32(IBufferWriter<byte> output, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(output.GetSpan(4), value);
        output.Advance(4);
    }

    private static void WriteUInt64(IBufferWriter<byte> output, ulong value)
    {
        BinaryPrimitives.WriteUInt64BigEndian(output.GetSpan(8), value);
        output.Advance(8);
    }
}
