namespace Pollux.Migration.Policies;

/// <summary>What a random sample of a guest's pages shows of its RAM.</summary>
/// <param name="UsedBytes">Not zero, rather more than less. Pages that are only zero take nine bytes in the stream.</param>
/// <param name="Written">How many different bytes were written within ever longer times, all since the same moment.</param>
public sealed record RamSight(long UsedBytes, IReadOnlyList<WrittenWithin> Written)
{
    /// <summary>The RAM is told in so many slices of equal size.</summary>
    public const int Slices = 64;

    /// <summary>A new series of looks replaces the one before when it has so many.</summary>
    public const int LooksToTell = 4;

    private const int FirstLookMs = 50;
    private const int StepMs = 100;

    /// <summary>
    /// Bytes of each slice, by address, written since the migration began, as of <see cref="SinceBeginMs"/>; null: not known, or of no interest any more
    /// after QEMU's first round through the RAM.
    /// </summary>
    public IReadOnlyList<double>? WrittenBySlice { get; init; }

    public double SinceBeginMs { get; init; }

    /// <summary>QEMU has not gone through all RAM yet: next to nothing was sent twice. A look in the middle of the round may let it send the page again at which it is.</summary>
    public static bool IsFirstRound(long sentPages, long resentPages) => resentPages * 100 <= sentPages;

    /// <summary>At 50, 100, 200, 300, … ms.</summary>
    /// <param name="looks">That the series has had.</param>
    public static double LookMs(int looks) => looks < 2 ? FirstLookMs << looks : StepMs * looks;
}

/// <param name="Ms">Since the beginning of the series.</param>
public readonly record struct WrittenWithin(double Ms, double Bytes);
