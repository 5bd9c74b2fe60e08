using System.Net.NetworkInformation;

namespace Pollux.Lab.Judgement;

/// <summary>A frame that came into the switch.</summary>
/// <param name="Host">Behind whose port.</param>
public sealed record SwitchFrame(double UnixMs, string Host, ReadOnlyMemory<byte> Bytes)
{
    private const int SourceAt = 6;
    private const int MacBytes = 6;

    internal bool IsFrom(PhysicalAddress mac) =>
        Bytes.Length >= SourceAt + MacBytes && Bytes.Span.Slice(SourceAt, MacBytes).SequenceEqual(mac.GetAddressBytes());
}
