namespace Pollux.Migration.Policies.Mp;

/// <summary>
/// A guest that goes over its memory in the order of addresses (a garbage collector, a scan, a file that is read into memory): where it will be next. Seen as neighbouring
/// slices that were written since an earlier look, behind them what was written before, and before them what was not. Pure.
/// </summary>
/// <param name="Slice">The last one that it has come to.</param>
/// <param name="Step">1 when it goes up, −1 when it goes down.</param>
/// <param name="SlicesPerMs">How fast.</param>
internal readonly record struct WriteFront(int Slice, int Step, double SlicesPerMs)
{
    private const double ApartMs = 90;

    /// <summary>Of a slice: more was written, or next to nothing was.</summary>
    private const double Much = 0.2;

    /// <summary>One that is so much faster than the link has been everywhere soon: then what was written says more, and where the guest turns back is not known yet.</summary>
    private const double FastestOfLink = 1.5;

    /// <summary>Of all that is fresh, in the run.</summary>
    private const double InRunLeast = 0.8;

    public static WriteFront? In(long ramBytes, double linkBytesPerMs, IReadOnlyList<MigrationSample> samples)
    {
        if (samples[^1].Ram is not { WrittenBySlice: { } now } sight
            || samples.LastOrDefault(s => s.Ram is { WrittenBySlice: not null } before && before.SinceBeginMs <= sight.SinceBeginMs - ApartMs)?.Ram is not { WrittenBySlice: { } then } earlier
            || then.Count != now.Count)
        {
            return null;
        }
        var sliceBytes = (double)ramBytes / now.Count;
        var fresh = now.Zip(then, (n, t) => Math.Max(0, n - t) / sliceBytes).ToArray();
        var (first, last) = (Array.FindIndex(fresh, f => f >= Much), Array.FindLastIndex(fresh, f => f >= Much));
        if (first < 0 || fresh[first..(last + 1)].Sum() < InRunLeast * fresh.Sum() || fresh[first..(last + 1)].Any(f => f < Much && last - first > 1))
        {
            return null;
        }
        var (below, above) = (first > 0 && now[first - 1] >= Much * sliceBytes, last + 1 < now.Count && now[last + 1] >= Much * sliceBytes);
        var speed = fresh.Sum() / (sight.SinceBeginMs - earlier.SinceBeginMs);
        return (below, above) switch
        {
            _ when speed * sliceBytes > FastestOfLink * linkBytesPerMs => null,
            (true, false) => new WriteFront(last, 1, speed),
            (false, true) => new WriteFront(first, -1, speed),
            _ => null,
        };
    }

    /// <summary>It comes to the slice within so long.</summary>
    public bool Reaches(int slice, double withinMs) => (slice - Slice) * Step is >= 0 and var away && away <= SlicesPerMs * withinMs;
}
