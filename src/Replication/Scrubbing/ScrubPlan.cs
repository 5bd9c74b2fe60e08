using Pollux.Core;

namespace Pollux.Replication.Scrubbing;

/// <summary>
/// Which pages to compare, and when: every page of the RAM once in each round, in an order drawn anew for each, spread over the round's time
/// as far as the limit per cut allows. Pure but for the random source.
/// </summary>
/// <param name="pages">Of the RAM.</param>
/// <param name="round">In which every page shall have been compared.</param>
public sealed class ScrubPlan(long pages, TimeSpan round, Random random)
{
    /// <summary>Hashing so many takes some 30 µs of the guest's pause.</summary>
    public const int PagesPerCutMax = 32;

    private long _at;
    private long _stride;

    /// <summary>Pages that <see cref="Next"/> gave.</summary>
    public long Given { get; private set; }

    /// <summary>How often all of the RAM was given.</summary>
    public long Rounds => Given / pages;

    /// <summary>How many pages are due at a cut that comes <paramref name="elapsed"/> after the start.</summary>
    public int Due(TimeSpan elapsed)
    {
        var due = (long)(elapsed / round * pages) - Given;
        return (int)Math.Clamp(due, 0, PagesPerCutMax);
    }

    /// <summary>The next page's number.</summary>
    public long Next()
    {
        if (Given % pages == 0)
        {
            // Steps of a length that has no divisor in common with the number of pages reach each of them once.
            _at = random.NextInt64(pages);
            do
            {
                _stride = random.NextInt64(pages) + 1;
            }
            while (CommonDivisor(_stride, pages) != 1);
        }
        else
        {
            _at = (_at + _stride) % pages;
        }
        Given++;
        return _at;
    }

    private static long CommonDivisor(long a, long b)
    {
        while (b != 0)
        {
            (a, b) = (b, a % b);
        }
        Invariant.Check(a > 0, "the RAM has pages");
        return a;
    }
}
