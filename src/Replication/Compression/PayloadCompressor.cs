using Pollux.Linux.Compression;
using Pollux.Linux.Memory;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Compression;

/// <summary>Makes compressed payloads, in memory of its own outside the collector's heap. One thread's.</summary>
public sealed class PayloadCompressor : IDisposable
{
    /// <summary>What does not shrink below this share of it goes as it is.</summary>
    private const int WorthEighths = 7;

    private readonly MemoryMap _state = MemoryMap.AllocateAnonymous(Lz4.StateBytes);
    private readonly MemoryMap _output = MemoryMap.AllocateAnonymous(FrameHeader.MaxPayloadBytes);

    /// <summary>The compressed payload, valid until the next; empty when it is not worth while.</summary>
    public ReadOnlySpan<byte> Compress(ReadOnlySpan<byte> content)
    {
        var room = (int)((long)content.Length * WorthEighths / 8) - CompressedPayload.HeaderBytes;
        if (room <= 0)
        {
            return default;
        }
        var block = Lz4.Compress(_state.Span(0, (int)_state.Length), content, _output.Span(CompressedPayload.HeaderBytes, room));
        if (block == 0)
        {
            return default;
        }
        CompressedPayload.WriteHeader(_output.Span(0, CompressedPayload.HeaderBytes), content.Length);
        return _output.Span(0, CompressedPayload.HeaderBytes + block);
    }

    public void Dispose()
    {
        _state.Dispose();
        _output.Dispose();
    }
}

/// <summary>Reads compressed payloads back, in memory of its own, which is there from the first one on. One thread's.</summary>
public sealed class PayloadDecompressor : IDisposable
{
    private MemoryMap? _input;
    private MemoryMap? _output;

    /// <summary>Room for a payload as it came, of at most <see cref="FrameHeader.MaxPayloadBytes"/>.</summary>
    public Span<byte> Input(int bytes) => (_input ??= MemoryMap.AllocateAnonymous(FrameHeader.MaxPayloadBytes)).Span(0, bytes);

    /// <summary>The content, valid until the next.</summary>
    /// <exception cref="WireFormatException">It is no such payload, or another length is in it than it says.</exception>
    public ReadOnlySpan<byte> Decompress(ReadOnlySpan<byte> payload)
    {
        if (!Lz4.IsAvailable)
        {
            throw new WireFormatException($"a compressed payload came, and {Lz4.Library} is not here to read it");
        }
        var length = CompressedPayload.ReadLength(payload);
        var content = (_output ??= MemoryMap.AllocateAnonymous(FrameHeader.MaxPayloadBytes)).Span(0, length);
        CompressedPayload.CheckLength(length, Lz4.Decompress(payload[CompressedPayload.HeaderBytes..], content));
        return content;
    }

    public void Dispose()
    {
        _input?.Dispose();
        _output?.Dispose();
        (_input, _output) = (null, null);
    }
}
