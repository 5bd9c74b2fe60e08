using System.Diagnostics;

namespace Pollux.Migration.Streaming;

/// <summary>
/// Makes the relay a link of a given rate: a chunk is handed on when such a link would have carried its last byte. QEMU's own limit cannot do
/// this: it is lifted for the last stage, and the pause looks shorter than it is.
/// </summary>
internal sealed class LinkPace(double? bytesPerSecond)
{
    // What a thread that slept too long may make up for; time in which QEMU had nothing to send is never made up for.
    private static readonly long LatenessTicks = Stopwatch.Frequency / 20;

    private static readonly long SleepTicks = Stopwatch.Frequency / 1000;
    private readonly double _ticksPerByte = bytesPerSecond is { } rate ? Stopwatch.Frequency / rate : 0;
    private double _free; // when the link has carried all that it was given

    /// <param name="idle">Whether the link had nothing to carry just before.</param>
    public void Carry(int bytes, bool idle)
    {
        if (_ticksPerByte == 0)
        {
            return;
        }
        var now = Stopwatch.GetTimestamp();
        _free = Math.Max(_free, idle ? now : now - LatenessTicks) + (bytes * _ticksPerByte);
        while (_free - now >= SleepTicks)
        {
            Thread.Sleep(TimeSpan.FromSeconds((_free - now) / Stopwatch.Frequency));
            now = Stopwatch.GetTimestamp();
        }
    }
}
