namespace Pollux.Migration.Policies;

/// <summary>What a random sample of a guest's pages shows of its RAM.</summary>
/// <param name="UsedBytes">Not zero, rather more than less. Pages that are only zero take nine bytes in the stream.</param>
/// <param name="Written">How many different bytes were written within ever longer times, all since the same moment.</param>
public sealed record RamSight(long UsedBytes, IReadOnlyList<WrittenWithin> Written)
{
    /// <summary>Of a series, after which another begins: at 50, 100, …, 1,600 ms.</summary>
    public const int LooksOfSeries = 6;

    /// <summary>A new series replaces the one before when it has so many.</summary>
    public const int LooksToTell = 4;

    /// <param name="looks">That the series has had.</param>
    public static double LookMs(int looks) => 50 << looks;
}

/// <param name="Ms">Since the beginning of the series.</param>
public readonly record struct WrittenWithin(double Ms, double Bytes);
