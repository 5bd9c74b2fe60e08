using Pollux.Migration.Replay;

namespace Pollux.Unit.Tests.Migration;

/// <summary>Guests that are made up, so that a policy's case can be had in its pure form. Rates in bytes per second.</summary>
public static class SyntheticTraces
{
    private const double StepMs = 100;
    private const int Steps = 240;
    private const int PageBytes = 4096;

    /// <summary>Writes a few pages here and there.</summary>
    public static MemoryTrace Idle(int groups = 256, int used = 60) => Of("idle", groups, used, step => [new WrittenGroup(step % 7, 12, null), new WrittenGroup(30 + (step % 5), 3, null)]);

    /// <summary>Goes over a region again and again, as the benchmark's rewriting guest does.</summary>
    public static MemoryTrace Sweep(double rate, int hotMiB = 150, int groups = 256, int used = 200, int from = 8)
    {
        var hotPages = hotMiB * MemoryTrace.PagesPerGroup;
        var at = 0L;
        return Of($"sweep {rate / 1e6:0}", groups, used, _ =>
        {
            var pages = Math.Min(hotPages, (long)(rate * StepMs / 1000 / PageBytes));
            var first = at % hotPages;
            at += (long)(rate * StepMs / 1000 / PageBytes);
            return Region(from, hotPages, first, pages);
        });
    }

    /// <summary>Writes single pages of a region by chance, like a store of values under load.</summary>
    public static MemoryTrace Scattered(double rate, int hotMiB, int groups = 256, int used = 200, int from = 20)
    {
        var perGroup = rate * StepMs / 1000 / PageBytes / hotMiB;
        // Of n draws from 256 pages so many are different.
        var different = MemoryTrace.PagesPerGroup * (1 - Math.Exp(-perGroup / MemoryTrace.PagesPerGroup));
        var random = new Random(7);
        return Of($"scattered {rate / 1e6:0}", groups, used, _ =>
            [.. Enumerable.Range(from, hotMiB).Select(g => new WrittenGroup(g, (int)(different + random.NextDouble()), null)).Where(w => w.Pages > 0)]);
    }

    /// <summary>Busy for a while, then quiet for a while.</summary>
    public static MemoryTrace Phases(MemoryTrace busy, MemoryTrace quiet, double seconds)
    {
        var steps = (int)(seconds * 1000 / StepMs);
        return busy with { Guest = "phases", Steps = [.. Enumerable.Range(0, 4 * steps).Select(s => (s / steps % 2 == 0 ? busy : quiet).Steps[s % Steps])] };
    }

    private static MemoryTrace Of(string guest, int groups, int used, Func<int, IReadOnlyList<WrittenGroup>> step) => new(
        guest, "synthetic", StepMs, groups, [.. Enumerable.Range(0, groups).Select(g => g < used ? MemoryTrace.PagesPerGroup : 0)], [.. Enumerable.Range(0, Steps).Select(s => new TraceStep(step(s)))]);

    private static List<WrittenGroup> Region(int from, long hotPages, long first, long pages)
    {
        var written = new SortedDictionary<int, WrittenGroup>();
        for (long done = 0; done < pages;)
        {
            var page = (first + done) % hotPages;
            var (group, inGroup) = ((int)(page / MemoryTrace.PagesPerGroup) + from, (int)(page % MemoryTrace.PagesPerGroup));
            var here = (int)Math.Min(Math.Min(MemoryTrace.PagesPerGroup - inGroup, pages - done), hotPages - page);
            written[group] = written.TryGetValue(group, out var had)
                ? had with { Pages = Math.Min(MemoryTrace.PagesPerGroup, had.Pages + here), FirstPage = inGroup }
                : new WrittenGroup(group, here, inGroup);
            done += here;
        }
        return [.. written.Values];
    }
}
