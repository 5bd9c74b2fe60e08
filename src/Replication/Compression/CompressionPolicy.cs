namespace Pollux.Replication.Compression;

/// <summary>What a frame holds: the two compress differently.</summary>
public enum FrameContent
{
    Memory,
    DeviceState,
}

/// <summary>
/// Decides frame by frame whether it is compressed. Pure: of what was measured, told in nanoseconds and bytes, and no clock of its own.
///
/// A byte that is not sent saves the time that carrying it takes; compressing it, and decompressing it at the other end, costs time before
/// the epoch can be acknowledged. In auto a frame is compressed when the first is more than the second. Carrying is measured at both ends,
/// since neither sees all: a write blocks only once the sockets' buffers are full, so that at a small epoch it tells nothing of a slow
/// link; then the standby's time between a frame's header and its last byte does. The dearer of the two counts.
///
/// Now and then a frame goes the other way, so that what is not done is known too.
/// </summary>
public sealed class CompressionPolicy
{
    private const int ProbeEvery = 64;

    /// <summary>What is not compressed is probed after so much of it too: a first copy has large frames, and few.</summary>
    private const int ProbeEveryBytes = 4 << 20;

    /// <summary>Before anything is decided. The first call of a library is no measure.</summary>
    private const int FirstProbes = 3;

    /// <summary>Of compression's time; LZ4 takes a fifth of it.</summary>
    private const double DecompressionShare = 0.25;

    /// <summary>What is saved, by what it costs: on above the first, off below the second, as before in between.</summary>
    private const double OnAbove = 1.25;
    private const double OffBelow = 0.8;

    /// <summary>A shorter write costs what any system call costs, and tells nothing of a byte.</summary>
    private const int LeastWriteBytes = 64 << 10;

    private const int LinkSamples = 15;
    private const int YieldSamples = 7;

    private readonly RecentMedian _written = new(LinkSamples);
    private readonly RecentMedian _arrived = new(LinkSamples);
    private readonly Yield[] _yields = [new(), new()];
    private bool _writtenSinceArrival;

    public CompressionMode Mode { get; set; }

    /// <summary>Memory is compressed now, but for probes.</summary>
    public bool IsOn => Mode == CompressionMode.Always || (Mode == CompressionMode.Auto && _yields[(int)FrameContent.Memory].IsOn);

    /// <summary>What carrying a byte takes; 0: not known yet.</summary>
    public double CarryNs => Math.Max(_written.Value, _arrived.Value);

    /// <summary>Whether the next frame, of so many bytes, is to be compressed.</summary>
    public bool Decide(FrameContent content, int bytes)
    {
        if (Mode != CompressionMode.Auto)
        {
            return Mode == CompressionMode.Always;
        }
        var yield = _yields[(int)content];
        if (yield.Share.Count < FirstProbes)
        {
            return true;
        }
        yield.Weigh(CarryNs);
        return yield.IsProbe(bytes) ? !yield.IsOn : yield.IsOn;
    }

    /// <summary>A frame was compressed.</summary>
    /// <param name="compressedBytes">As many as before when it did not shrink enough to be sent so.</param>
    public void Compressed(FrameContent content, int bytes, int compressedBytes, double ns)
    {
        var yield = _yields[(int)content];
        yield.Share.Add((double)compressedBytes / bytes);
        yield.CompressNs.Add(ns / bytes);
    }

    /// <summary>A frame's payload, as it went, was taken by the socket.</summary>
    public void Written(int bytes, double ns)
    {
        if (bytes >= LeastWriteBytes)
        {
            _written.Add(ns / bytes);
            _writtenSinceArrival = true;
        }
    }

    /// <summary>The standby has read frames of an epoch.</summary>
    /// <param name="bytes">Of payload, as it came; of frames in which the header comes before it.</param>
    /// <param name="ns">From their headers to their ends.</param>
    public void Arrived(long bytes, double ns)
    {
        if (bytes <= 0)
        {
            return;
        }
        _arrived.Add(ns / bytes);
        if (!_writtenSinceArrival)
        {
            _written.Clear(); // of larger epochs, some time ago
        }
        _writtenSinceArrival = false;
    }

    /// <summary>What compressing one content gives and costs.</summary>
    private sealed class Yield
    {
        public RecentMedian Share { get; } = new(YieldSamples);
        public RecentMedian CompressNs { get; } = new(YieldSamples);
        public bool IsOn { get; private set; }

        private int _frames;
        private int _bytes;

        /// <summary>Counts the next frame. What is compressed needs no probe for its bytes: large frames tell of the link in either way.</summary>
        public bool IsProbe(int bytes)
        {
            _bytes += bytes;
            if (++_frames < ProbeEvery && (IsOn || _bytes < ProbeEveryBytes))
            {
                return false;
            }
            (_frames, _bytes) = (0, 0);
            return true;
        }

        public void Weigh(double carryNs)
        {
            var was = IsOn;
            var saved = (1 - Share.Value) * carryNs;
            var cost = CompressNs.Value * (1 + DecompressionShare);
            IsOn = saved > cost * (IsOn ? OffBelow : OnAbove);
            if (IsOn != was)
            {
                (_frames, _bytes) = (0, 0);
            }
        }
    }
}
