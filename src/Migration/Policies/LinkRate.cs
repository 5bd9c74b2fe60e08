namespace Pollux.Migration.Policies;

/// <summary>How fast what is left will travel. Pure.</summary>
internal static class LinkRate
{
    /// <summary>A second of them.</summary>
    private const int Samples = 20;

    /// <summary>A stream of zero pages, nine bytes each, tells nothing of the link.</summary>
    private const int BytesPerPageLeast = DirtyLooks.PageBytes / 2;

    /// <summary>Nothing is known yet: a slow link, so that no prediction divides by zero or flatters.</summary>
    private const double LeastBytesPerSecond = 1e6;

    /// <summary>Bytes per second: the median of what was carried in the last second in which whole pages went out, and never more than the limit.</summary>
    public static double Of(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        var recent = new List<double>(Samples);
        for (var i = samples.Count - 1; i > 0 && recent.Count < Samples; i--)
        {
            var bytes = samples[i].SentBytes - samples[i - 1].SentBytes;
            var waiting = Math.Max(0, samples[i].PostponedBytes - samples[i - 1].PostponedBytes) / DirtyLooks.PageBytes;
            var pages = samples[i].SentPages - samples[i - 1].SentPages - waiting;
            var isZeros = pages > 0 && bytes < pages * BytesPerPageLeast;
            if (!isZeros && samples[i].LinkBytesPerSecond > 0 && double.IsFinite(samples[i].LinkBytesPerSecond))
            {
                recent.Add(samples[i].LinkBytesPerSecond);
            }
        }
        recent.Sort();
        var limit = terms.LinkBytesPerSecond ?? double.PositiveInfinity;
        var rate = recent.Count > 0 ? Math.Min(recent[recent.Count / 2], limit) : double.IsFinite(limit) ? limit : 0;
        return Math.Max(LeastBytesPerSecond, rate);
    }
}
