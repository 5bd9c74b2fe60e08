using Pollux.Linux.Compression;
using Pollux.Replication.Compression;
using Pollux.Unit.Tests.Wire;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Compression;

/// <summary>What is read back is what was written, or the payload is refused: also when whoever sends it means harm.</summary>
public sealed class CompressedPayloadTests : IDisposable
{
    private readonly PayloadCompressor _compressor = new();
    private readonly PayloadDecompressor _decompressor = new();
    private readonly Random _random = new(1);

    public void Dispose()
    {
        _compressor.Dispose();
        _decompressor.Dispose();
    }

    [Fact]
    public void Lz4_IsHere() => Assert.True(Lz4.IsAvailable, $"install {Lz4.Package}");

    [Theory]
    [InlineData(100)]
    [InlineData(4096)]
    [InlineData(65_537)]
    [InlineData(FrameHeader.MaxPayloadBytes)]
    public void Decompress_OfWhatWasCompressed_IsTheContent(int bytes)
    {
        var content = Content(bytes);
        var payload = _compressor.Compress(content);
        Assert.InRange(payload.Length, 1, bytes * 7 / 8);
        Assert.True(_decompressor.Decompress(payload).SequenceEqual(content));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(4096)]
    [InlineData(FrameHeader.MaxPayloadBytes)]
    public void Compress_WhatDoesNotShrink_IsNotWorthWhile(int bytes)
    {
        var content = new byte[bytes];
        _random.NextBytes(content);
        Assert.True(_compressor.Compress(content).IsEmpty);
    }

    [Fact]
    public void Decompress_CutShortAtEveryByte_IsRefused()
    {
        var payload = _compressor.Compress(Content(2000)).ToArray();
        for (var length = 0; length < payload.Length; length++)
        {
            Assert.Throws<WireFormatException>(() => _decompressor.Decompress(payload.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Decompress_AnotherLengthThanSaid_IsRefused()
    {
        var payload = _compressor.Compress(Content(2000)).ToArray();
        foreach (var said in (int[])[0, -1, int.MinValue, 1, 1999, 2001, FrameHeader.MaxPayloadBytes, FrameHeader.MaxPayloadBytes + 1, int.MaxValue])
        {
            CompressedPayload.WriteHeader(payload, said);
            Assert.Throws<WireFormatException>(() => _decompressor.Decompress(payload));
        }
    }

    /// <summary>A megabyte of one byte is some four kilobytes: the most that LZ4 makes of so little. Nothing can claim more than a frame holds.</summary>
    [Fact]
    public void Decompress_TheMostOfTheLeast_StaysWithinAFrame()
    {
        var payload = _compressor.Compress(new byte[FrameHeader.MaxPayloadBytes]).ToArray();
        Assert.InRange(payload.Length, 1, 8192);
        Assert.Equal(FrameHeader.MaxPayloadBytes, _decompressor.Decompress(payload).Length);
        CompressedPayload.WriteHeader(payload, FrameHeader.MaxPayloadBytes - 1);
        Assert.Throws<WireFormatException>(() => _decompressor.Decompress(payload));
    }

    [Fact]
    public void Decompress_MutatedOrRandom_IsRefusedOrHasTheLengthThatWasSaid()
    {
        var good = _compressor.Compress(Content(5000)).ToArray();
        for (var round = 0; round < 30_000; round++)
        {
            byte[] payload;
            if (round % 3 == 0)
            {
                payload = new byte[_random.Next(200)];
                _random.NextBytes(payload);
                if (payload.Length >= 4)
                {
                    CompressedPayload.WriteHeader(payload, _random.Next(1, 1 << _random.Next(1, 21)));
                }
            }
            else
            {
                payload = Mutation.Of(good, _random);
            }
            try
            {
                Assert.Equal(CompressedPayload.ReadLength(payload), _decompressor.Decompress(payload).Length);
            }
            catch (WireFormatException)
            {
            }
        }
    }

    [Fact]
    public void Compress_AfterTheFirst_AllocatesNothing()
    {
        var content = Content(60_000);
        _decompressor.Decompress(_compressor.Compress(content));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
        {
            _decompressor.Decompress(_compressor.Compress(content));
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Arrival_Written_IsTheOneRead()
    {
        Assert.Equal(new Arrival(5, 7), Arrival.Read(new Arrival(5, 7).ToBytes()));
        Assert.Empty(default(Arrival).ToBytes());
        Assert.Equal(default, Arrival.Read([]));
        Assert.Throws<WireFormatException>(() => Arrival.Read(new byte[15]));
        Assert.Throws<WireFormatException>(() => Arrival.Read(new Arrival(-1, 7).ToBytes()));
        Assert.Throws<WireFormatException>(() => Arrival.Read(new Arrival(1, -7).ToBytes()));
    }

    /// <summary>Half of it repeats.</summary>
    private byte[] Content(int bytes)
    {
        var content = new byte[bytes];
        for (var at = 0; at < bytes; at += 64)
        {
            _random.NextBytes(content.AsSpan(at, Math.Min(16, bytes - at)));
        }
        return content;
    }
}
