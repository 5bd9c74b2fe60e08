using System.Buffers.Binary;
using Pollux.Wire;

namespace Pollux.Migration.Streaming;

/// <summary>
/// How QEMU's stream travels between two keepers: chunks, each a be32 length and that many bytes; a length of 0 ends the stream. Without that
/// end the stream is broken, whatever came before: so a link that closes is never taken for a migration that is whole.
/// </summary>
internal static class ChunkFrames
{
    internal const int HeadBytes = 4;

    /// <summary>Of a chunk, without its head.</summary>
    internal const int MaxBytes = 256 << 10;

    private static readonly byte[] End = new byte[HeadBytes];

    /// <summary>Writes a chunk that stands behind room for its head, in one call.</summary>
    internal static void Write(Stream link, Span<byte> headAndChunk)
    {
        BinaryPrimitives.WriteInt32BigEndian(headAndChunk, headAndChunk.Length - HeadBytes);
        link.Write(headAndChunk);
    }

    internal static void WriteEnd(Stream link)
    {
        link.Write(End);
        link.Flush();
    }

    /// <summary>The next chunk, read into <paramref name="space"/>; 0 at the stream's end.</summary>
    /// <exception cref="EndOfStreamException">The link closed before it.</exception>
    internal static int Read(Stream link, Span<byte> space)
    {
        Span<byte> head = stackalloc byte[HeadBytes];
        link.ReadExactly(head);
        var length = BinaryPrimitives.ReadUInt32BigEndian(head);
        if (length > MaxBytes)
        {
            throw new WireFormatException($"a chunk of {length} bytes came on the migration link, at most {MaxBytes} are allowed");
        }
        link.ReadExactly(space[..(int)length]);
        return (int)length;
    }
}
