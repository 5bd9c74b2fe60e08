namespace Pollux.Migration.Policies;

/// <summary>One look at a migration under way, some twenty a second. Counters grow from the beginning of the migration.</summary>
/// <param name="AtMs">Since the beginning.</param>
/// <param name="Iteration">QEMU's <c>dirty-sync-count</c>: 1 during the first pass over all RAM.</param>
/// <param name="SentBytes">Through the relay.</param>
/// <param name="RemainingBytes">What QEMU knows to be left: dirty at its last look at the dirty log, and not sent since.</param>
/// <param name="SentPages">Pages in the stream, zero pages included.</param>
/// <param name="ResentPages">Of them, those that had been sent before.</param>
/// <param name="DirtyPagesPerSecond">QEMU's own figure, of its last whole iteration; 0 before there is one.</param>
/// <param name="LinkBytesPerSecond">What the relay has carried lately.</param>
/// <param name="Groups">By page group (<see cref="PageGroups"/>), in the order of addresses; null when unchanged since the last sample.</param>
/// <param name="ThrottlePercent">By how much QEMU holds the guest back.</param>
public sealed record MigrationSample(
    double AtMs, long Iteration, long SentBytes, long RemainingBytes, long SentPages, long ResentPages, double DirtyPagesPerSecond, double LinkBytesPerSecond,
    IReadOnlyList<GroupSample>? Groups, int ThrottlePercent)
{
    /// <summary>The latest that is known from reading pages beside the migration; null: nothing yet, or nobody reads them.</summary>
    public RamSight? Ram { get; init; }

    /// <summary>By slice (<see cref="RamSight.Slices"/>), pages that are in <see cref="SentPages"/> but wait until the guest stands; null: none do.</summary>
    public IReadOnlyList<int>? PostponedBySlice { get; init; }

    public long PostponedBytes => PostponedBySlice is { } pages ? (long)pages.Sum() * DirtyLooks.PageBytes : 0;
}

/// <summary>A group of neighbouring pages.</summary>
/// <param name="SentPages">Pages of it in the stream since the beginning.</param>
/// <param name="ResentPages">Of them, those that had been sent before.</param>
/// <param name="LastIteration">In which one of it was last sent.</param>
public readonly record struct GroupSample(int SentPages, int ResentPages, int LastIteration);

/// <summary>How RAM is cut into groups.</summary>
public static class PageGroups
{
    /// <summary>256 pages of 4 KiB.</summary>
    public const int Bytes = 1 << 20;
}
