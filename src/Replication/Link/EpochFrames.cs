using System.Diagnostics;
using Pollux.Linux.Compression;
using Pollux.Replication.Compression;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Link;

/// <summary>
/// Writes the pieces of epochs: memory and device state. They are most of what is on the link, and only they are compressed, each frame by
/// itself, when <see cref="CompressionPolicy"/> says so. One thread writes; the settings, what arrived and the counts are any thread's.
/// </summary>
/// <param name="cannotCompress">Why the other end must not get compressed frames; null: it understands them.</param>
public sealed class EpochFrames(FrameStream frames, CompressionMode mode = CompressionMode.Never, string? cannotCompress = null) : IDisposable
{
    /// <summary>Less fits into one packet anyway.</summary>
    private const int LeastBytes = 1024;

    private readonly CompressionPolicy _policy = new() { Mode = mode };
    private readonly Lock _lock = new();
    private PayloadCompressor? _compressor;
    private LinkCounts _counts;

    public FrameStream Frames => frames;

    /// <summary>What went over the link. May be read from any thread; then it may be a moment old.</summary>
    public LinkCounts Counts => _counts;

    /// <summary>Why nothing is ever compressed, whatever the mode is; null: it may be.</summary>
    public string? CannotCompress { get; } = cannotCompress ?? (Lz4.IsAvailable ? null : $"{Lz4.Library} is missing here: install {Lz4.Package}");

    public CompressionMode Mode
    {
        get
        {
            lock (_lock)
            {
                return _policy.Mode;
            }
        }
        set
        {
            lock (_lock)
            {
                _policy.Mode = value;
            }
        }
    }

    /// <summary>Memory is compressed now.</summary>
    public bool IsCompressing
    {
        get
        {
            lock (_lock)
            {
                return CannotCompress is null && _policy.IsOn;
            }
        }
    }

    /// <summary>The standby told how an epoch came in.</summary>
    public void Arrived(Arrival arrival)
    {
        lock (_lock)
        {
            _policy.Arrived(arrival.Bytes, arrival.Nanoseconds);
        }
    }

    /// <exception cref="IOException">The link is down.</exception>
    public void Write(FrameType type, long epoch, ReadOnlySpan<byte> payload)
    {
        var content = type == FrameType.DeviceState ? FrameContent.DeviceState : FrameContent.Memory;
        var compressed = payload.Length >= LeastBytes && ShallCompress(content, payload.Length) ? Compress(content, payload) : default;
        var isCompressed = !compressed.IsEmpty;
        var bytes = isCompressed ? compressed.Length : payload.Length;
        var begin = Stopwatch.GetTimestamp();
        frames.Write(type, epoch, isCompressed ? compressed : payload, isCompressed);
        var ns = Nanoseconds(begin);
        lock (_lock)
        {
            _policy.Written(bytes, ns);
        }
        _counts.Count(epoch == 0, content, FrameHeader.Bytes + payload.Length, FrameHeader.Bytes + bytes, isCompressed);
    }

    public void Dispose() => _compressor?.Dispose();

    private bool ShallCompress(FrameContent content, int bytes)
    {
        lock (_lock)
        {
            return CannotCompress is null && _policy.Decide(content, bytes);
        }
    }

    private ReadOnlySpan<byte> Compress(FrameContent content, ReadOnlySpan<byte> payload)
    {
        _compressor ??= new PayloadCompressor();
        var begin = Stopwatch.GetTimestamp();
        var compressed = _compressor.Compress(payload);
        var ns = Nanoseconds(begin);
        lock (_lock)
        {
            _policy.Compressed(content, payload.Length, compressed.IsEmpty ? payload.Length : compressed.Length, ns);
        }
        return compressed;
    }

    private static double Nanoseconds(long since) => Stopwatch.GetElapsedTime(since).TotalNanoseconds;
}

/// <summary>What the pieces of epochs took on the link, with the headers of their frames but without what TLS adds.</summary>
public struct LinkCounts
{
    /// <summary>Of the first copy, had nothing been compressed.</summary>
    public long FirstBytes { get; private set; }

    /// <summary>Of the first copy, as it was sent.</summary>
    public long FirstSentBytes { get; private set; }

    /// <summary>Of all epochs after it, had nothing been compressed.</summary>
    public long Bytes { get; private set; }

    /// <summary>Of all epochs after it, as it was sent.</summary>
    public long SentBytes { get; private set; }

    public long MemoryFrames { get; private set; }
    public long DeviceFrames { get; private set; }
    public long CompressedMemoryFrames { get; private set; }
    public long CompressedDeviceFrames { get; private set; }
    public readonly long Frames => MemoryFrames + DeviceFrames;
    public readonly long CompressedFrames => CompressedMemoryFrames + CompressedDeviceFrames;

    internal void Count(bool isFirst, FrameContent content, int bytes, int sent, bool isCompressed)
    {
        if (isFirst)
        {
            FirstBytes += bytes;
            FirstSentBytes += sent;
        }
        else
        {
            Bytes += bytes;
            SentBytes += sent;
        }
        var compressed = isCompressed ? 1 : 0;
        if (content == FrameContent.Memory)
        {
            MemoryFrames++;
            CompressedMemoryFrames += compressed;
        }
        else
        {
            DeviceFrames++;
            CompressedDeviceFrames += compressed;
        }
    }
}
