using System.Runtime.InteropServices;
using Pollux.Core;

namespace Pollux.Linux.Compression;

/// <summary>
/// LZ4 blocks, by the system's liblz4 (lz4.h, "Simple Functions" and "Advanced Functions"). A block does not say how long its content is, nor
/// whether it is whole: who keeps one must keep its length, and a checksum.
/// </summary>
public static unsafe partial class Lz4
{
    /// <summary>The library's name, and the Debian package that has it.</summary>
    public const string Library = "liblz4.so.1";
    public const string Package = "liblz4-1";

    /// <summary>1 compresses best; each step more is quicker and compresses less.</summary>
    private const int Acceleration = 1;

    private static readonly Lazy<bool> Found = new(static () => NativeLibrary.TryLoad(Library, out _));

    /// <summary>The library is on this host.</summary>
    public static bool IsAvailable => Found.Value;

    /// <summary>Bytes of memory that <see cref="Compress"/> works with; their content does not matter.</summary>
    public static int StateBytes => LZ4_sizeofState();

    /// <summary>Returns the block's length, or 0 when it does not fit into <paramref name="block"/>, of which the content is then undefined.</summary>
    public static int Compress(Span<byte> state, ReadOnlySpan<byte> content, Span<byte> block)
    {
        Invariant.Check(state.Length >= StateBytes, "the compressor has its memory");
        fixed (byte* s = state, from = content, to = block)
        {
            Invariant.Check(((nint)s & 7) == 0, "the compressor's memory is aligned");
            return LZ4_compress_fast_extState(s, from, to, content.Length, block.Length, Acceleration);
        }
    }

    /// <summary>
    /// Returns the content's length, or a negative number when the bytes are no block or its content does not fit. Nothing outside of
    /// <paramref name="content"/> is written, whatever the bytes are.
    /// </summary>
    public static int Decompress(ReadOnlySpan<byte> block, Span<byte> content)
    {
        fixed (byte* from = block, to = content)
        {
            return LZ4_decompress_safe(from, to, block.Length, content.Length);
        }
    }

    [LibraryImport(Library)]
    private static partial int LZ4_sizeofState();

    [LibraryImport(Library)]
    private static partial int LZ4_compress_fast_extState(byte* state, byte* source, byte* destination, int sourceBytes, int destinationCapacity, int acceleration);

    [LibraryImport(Library)]
    private static partial int LZ4_decompress_safe(byte* source, byte* destination, int compressedBytes, int destinationCapacity);
}
