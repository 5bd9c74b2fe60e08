namespace Pollux.Lab.Judgement;

/// <summary>
/// One direction of a TCP connection as it was seen on the wire: each byte of the stream has one value for ever, whoever sends it and
/// however often (RFC 9293, section 3.4).
/// </summary>
internal sealed class StreamRecord
{
    /// <summary>A stream longer than this is looked at no further; the captures of a test stay far below.</summary>
    private const int MaxBytes = 1 << 28;

    private const short Unseen = -1;
    private readonly List<short> _bytes = [];
    private uint? _first;

    /// <summary>Takes a segment's payload. Returns the place in the stream where it differs from what was seen before, or null.</summary>
    internal long? Add(uint sequence, ReadOnlySpan<byte> payload)
    {
        _first ??= sequence;
        // Distance modulo 2^32: a stream of a test does not wrap.
        var offset = unchecked((int)(sequence - _first.Value));
        if (offset < 0 || offset > MaxBytes - payload.Length)
        {
            return null;
        }
        while (_bytes.Count < offset + payload.Length)
        {
            _bytes.Add(Unseen);
        }
        for (var i = 0; i < payload.Length; i++)
        {
            var seen = _bytes[offset + i];
            if (seen != Unseen && seen != payload[i])
            {
                return offset + i;
            }
            _bytes[offset + i] = payload[i];
        }
        return null;
    }
}
