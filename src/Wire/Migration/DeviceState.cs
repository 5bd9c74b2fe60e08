using System.Buffers.Binary;
using System.Text.Json;
using static Pollux.Wire.Migration.MigrationFormat;

namespace Pollux.Wire.Migration;

/// <summary>
/// The device sections at the end of an initial stream. They carry no length; what follows them does:
/// <code>FULL … FULL EOF │ DESCRIPTION be32 length, JSON</code>
/// The JSON (QEMU's <c>vmsd_desc</c>, <c>migration/savevm.c</c>) describes every device section before it.
/// </summary>
public static class DeviceState
{
    // A q35 machine has about 60 KB of it; the bound is for a length that is none.
    private const uint MaxDescription = 16 << 20;

    private const int FooterLength = 5;
    private const int DescriptionHeadLength = 5;

    /// <summary>
    /// Looks for the end of the device state in bytes that begin at the first FULL section.
    /// False: not all of it is there, call again with more.
    /// </summary>
    /// <param name="deviceLength">Of the device sections with the EOF byte, as <see cref="TakeoverStream"/> takes it.</param>
    /// <param name="totalLength">With the description: where QEMU's stream ends.</param>
    public static bool TryFindEnd(ReadOnlySpan<byte> bytes, out int deviceLength, out int totalLength)
    {
        // The shortest marker that device state hardly holds by chance; the rest is then checked around it.
        var marker = "{\""u8;
        var from = 0;
        while (bytes[from..].IndexOf(marker) is >= 0 and var found)
        {
            var json = from + found;
            if (IsWhole(bytes, json, out var length))
            {
                deviceLength = json - DescriptionHeadLength;
                totalLength = json + length;
                return true;
            }

            from = json + 1;
        }

        deviceLength = 0;
        totalLength = 0;
        return false;
    }

    /// <summary>A section's footer, EOF, the description's type and length, and JSON that is whole and names devices.</summary>
    private static bool IsWhole(ReadOnlySpan<byte> bytes, int json, out int length)
    {
        length = 0;
        var eof = json - DescriptionHeadLength - 1;
        if (eof < FooterLength || bytes[eof] != Eof || bytes[eof + 1] != Description || bytes[eof - FooterLength] != SectionFooter)
        {
            return false;
        }

        var said = BinaryPrimitives.ReadUInt32BigEndian(bytes[(eof + 2)..]);
        if (said > MaxDescription || said > bytes.Length - json)
        {
            return false;
        }

        length = (int)said;
        return DescribesDevices(bytes.Slice(json, length));
    }

    private static bool DescribesDevices(ReadOnlySpan<byte> json)
    {
        var devices = false;
        var reader = new Utf8JsonReader(json);
        try
        {
            while (reader.Read())
            {
                devices |= reader.CurrentDepth == 1 && reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("devices"u8);
            }
        }
        catch (JsonException)
        {
            return false;
        }

        return devices;
    }
}
