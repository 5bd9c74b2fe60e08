namespace Pollux.Wire.Migration;

/// <summary>A block of a guest's memory: its RAM, or the small ones of BIOS, option ROMs and ACPI tables. Length in bytes.</summary>
public sealed record RamBlock(string Name, ulong Length);

/// <summary>
/// Receives what a <see cref="RamStreamScanner"/> finds. A generic constraint, so that the calls are direct.
/// Spans are valid during the call only. A sink that throws leaves its scanner unusable.
/// </summary>
public interface IRamSink
{
    /// <summary>A block from the list at the head of a stream; <paramref name="block"/> is its index in <see cref="RamStreamScanner.Blocks"/>.</summary>
    /// <param name="length">In bytes.</param>
    void OnBlock(int block, string name, ulong length);

    /// <summary>
    /// A piece of a 4096-byte page, in order: one piece unless the input was split inside the page.
    /// </summary>
    /// <param name="address">The page's offset in its block, in bytes; a multiple of 4096, inside the block.</param>
    /// <param name="offset">Where in the page the piece begins.</param>
    void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece);

    /// <summary>A page that holds only zeros.</summary>
    void OnZeroPage(int block, ulong address);

    /// <summary>A QEMU_VM_COMMAND section, such as 2 (PING, which QEMU 11 wants answered) or 11 (SWITCHOVER_START).</summary>
    void OnCommand(ushort command, ReadOnlySpan<byte> payload);
}
