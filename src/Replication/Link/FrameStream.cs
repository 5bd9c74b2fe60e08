using System.Net.Sockets;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Link;

/// <summary>
/// Replication frames over a (TLS) stream, blocking. One thread may write while another reads; neither direction has a lock.
/// A stream that ends gives <see cref="EndOfStreamException"/>; bytes that are no frame give WireFormatException.
/// </summary>
/// <param name="socket">What is below the stream, if it is a connection.</param>
public sealed class FrameStream(Stream stream, Socket? socket = null) : IDisposable
{
    /// <summary>Up to this a payload goes in one write with its header; a longer one follows it.</summary>
    public const int SmallPayloadBytes = 16 << 10;

    private readonly byte[] _writeBuffer = new byte[FrameHeader.Bytes + SmallPayloadBytes];
    private readonly byte[] _headerBuffer = new byte[FrameHeader.Bytes];

    /// <summary>The stream itself, for what follows the last frame: nothing is read ahead.</summary>
    public Stream Stream => stream;

    /// <summary>A small frame can be written without waiting for the other side. Also true of a connection that is broken: writing then says so.</summary>
    public bool TakesMore => socket is null || socket.Poll(TimeSpan.Zero, SelectMode.SelectWrite) || socket.Poll(TimeSpan.Zero, SelectMode.SelectError);

    /// <param name="isCompressed">The payload is a <see cref="CompressedPayload"/>.</param>
    public void Write(FrameType type, long epoch, ReadOnlySpan<byte> payload, bool isCompressed = false)
    {
        var header = new FrameHeader(type, payload.Length, Crc32C.Of(payload), epoch, isCompressed);
        header.Write(_writeBuffer);
        if (payload.Length <= SmallPayloadBytes)
        {
            // One write: header and payload share a TLS record and a packet.
            payload.CopyTo(_writeBuffer.AsSpan(FrameHeader.Bytes));
            stream.Write(_writeBuffer.AsSpan(0, FrameHeader.Bytes + payload.Length));
            return;
        }
        stream.Write(_writeBuffer.AsSpan(0, FrameHeader.Bytes));
        stream.Write(payload);
    }

    public FrameHeader ReadHeader()
    {
        stream.ReadExactly(_headerBuffer);
        return FrameHeader.Read(_headerBuffer);
    }

    /// <summary>Reads the payload of <paramref name="header"/> into <paramref name="destination"/>, of exactly its length, and checks it.</summary>
    public void ReadPayload(FrameHeader header, Span<byte> destination)
    {
        stream.ReadExactly(destination);
        header.CheckPayload(destination);
    }

    /// <summary>Reads a part of a payload; <paramref name="crc"/> begins as all ones and goes on from piece to piece.</summary>
    public void ReadPiece(Span<byte> destination, ref uint crc)
    {
        stream.ReadExactly(destination);
        crc = Crc32C.Continue(crc, destination);
    }

    /// <summary>Of a frame that is never compressed.</summary>
    public byte[] ReadPayload(FrameHeader header)
    {
        if (header.IsCompressed)
        {
            throw new WireFormatException($"a {header.Type} frame is compressed, which only pieces of epochs may be");
        }
        var payload = new byte[header.Length];
        ReadPayload(header, payload);
        return payload;
    }

    /// <summary>Ends both directions; a blocked reader or writer fails.</summary>
    public void Dispose() => stream.Dispose();
}
