namespace Pollux.Wire.Migration;

/// <summary>
/// The numbers of QEMU's migration stream, all of it big-endian
/// (QEMU's <c>migration/savevm.h</c>, <c>migration/ram.h</c>; docs/devel/migration).
/// </summary>
internal static class MigrationFormat
{
    internal const uint Magic = 0x5145_564d; // "QEVM"
    internal const uint Version = 3;
    internal const int PageSize = 4096;
    internal const int RamSectionVersion = 4;

    // Section types.
    internal const byte Eof = 0x00;
    internal const byte SectionStart = 0x01;
    internal const byte SectionPart = 0x02;
    internal const byte SectionEnd = 0x03;
    internal const byte SectionFull = 0x04;
    internal const byte Subsection = 0x05;
    internal const byte Description = 0x06;
    internal const byte Configuration = 0x07;
    internal const byte Command = 0x08;
    internal const byte SectionFooter = 0x7e;

    // Flags in the low twelve bits of a RAM record's address.
    internal const uint FlagMask = 0xfff;
    internal const uint Zero = 0x02;
    internal const uint MemSize = 0x04;
    internal const uint Page = 0x08;
    internal const uint EndOfSection = 0x10;
    internal const uint Continue = 0x20;
    internal const uint Xbzrle = 0x40;
    internal const uint MultifdFlush = 0x200;

    internal static ReadOnlySpan<byte> RamSectionName => "ram"u8;
    internal static ReadOnlySpan<byte> CapabilitiesSubsection => "configuration/capabilities"u8;
    internal static ReadOnlySpan<byte> PageBitsSubsection => "configuration/target-page-bits"u8;
    internal static ReadOnlySpan<byte> UuidSubsection => "configuration/uuid"u8;
    internal static ReadOnlySpan<byte> IgnoreShared => "x-ignore-shared"u8;
}
