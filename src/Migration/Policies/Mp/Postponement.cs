namespace Pollux.Migration.Policies.Mp;

/// <summary>
/// Slices of the RAM that the guest writes so much that what is sent of them while it runs would have to be sent again. Their pages wait until it stands: sent once
/// instead of twice, and the pause is no longer than if they had been sent in vain. Pure.
/// </summary>
/// <param name="Slices">A bit for each (<see cref="MigrationOrder.PostponedSlices"/>).</param>
/// <param name="AheadBytes">In them, at most, of what QEMU has not come to yet.</param>
internal readonly record struct Postponement(ulong Slices, double AheadBytes)
{
    /// <summary>A slice of which less than this share will be written until the stop is sent at once: the rest of it would only lengthen the pause.</summary>
    private const double Least = 0.3;

    /// <param name="front">Where the guest will write next, if it goes over its memory in order.</param>
    /// <param name="position">Bytes of the RAM through which QEMU has gone.</param>
    /// <param name="untilStopMs">How long the guest runs on.</param>
    /// <param name="mostBytes">What may wait beside what waits already.</param>
    public static Postponement Of(long ramBytes, RamSight? sight, WriteFront? front, double position, double untilStopMs, double mostBytes)
    {
        if (sight is not { WrittenBySlice: { Count: RamSight.Slices } written, SinceBeginMs: > 0 and var seenMs })
        {
            return default;
        }
        var sliceBytes = (double)ramBytes / RamSight.Slices;
        var (slices, ahead) = (0UL, 0.0);
        foreach (var slice in Enumerable.Range(0, RamSight.Slices).OrderByDescending(WillBeWritten).ThenByDescending(s => written[s]))
        {
            var bytes = Math.Clamp(((slice + 1) * sliceBytes) - position, 0, sliceBytes);
            if (WillBeWritten(slice) < Least || ahead + bytes > mostBytes)
            {
                break;
            }
            (slices, ahead) = (slices | (1UL << slice), ahead + bytes);
        }
        return new Postponement(slices, ahead);

        double WillBeWritten(int slice) => front?.Reaches(slice, untilStopMs) == true ? 1 : Math.Min(1, written[slice] / sliceBytes * (1 + (untilStopMs / seenMs)));
    }
}
