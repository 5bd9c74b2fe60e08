namespace Pollux.Lab.Bench.Migration;

/// <summary>What is run.</summary>
/// <param name="Guests">Each on its link.</param>
/// <param name="Policies">On every guest.</param>
/// <param name="MorePolicies">On those of <paramref name="MoreOn"/> too.</param>
/// <param name="MoreOn">Names of guests.</param>
/// <param name="MoreLinkMBps">The link on which they are run.</param>
/// <param name="Runs">Of each policy on each guest.</param>
/// <param name="Cut">A migration that has not ended by then is cancelled and counted as failed.</param>
/// <param name="StockCut">The same for stock, which never ends on half of the guests; and once it has not, for its further runs there.</param>
/// <param name="ProbeCut">The same in the search for relaxed's limit, where a guest that rewrites the same memory on and on shows sooner that it will not end.</param>
/// <param name="MaxPauseMs">What the user allows.</param>
public sealed record MigrationBenchSettings(
    IReadOnlyList<BenchGuest> Guests, IReadOnlyList<string> Policies, IReadOnlyList<string> MorePolicies, IReadOnlyList<string> MoreOn, double MoreLinkMBps,
    int Runs, TimeSpan Cut, (TimeSpan First, TimeSpan Again) StockCut, TimeSpan ProbeCut, double MaxPauseMs, string Qemu)
{
    private const double SlowLink = 128;
    private const double FastLink = 512;
    private static readonly string[] Main = ["mp", "relaxed", "capped", "stock"];
    private static readonly string[] Others = ["auto-converge", "doubling", "ramp"];

    /// <summary>All guests on both links, five runs each: up to an hour.</summary>
    public static MigrationBenchSettings Full(string qemu) => new(
        [.. BenchGuest.All(SlowLink), .. BenchGuest.All(FastLink)], Main, Others, ["rewrite-1.2x", "rewrite-2x", "phases"], SlowLink,
        Runs: 5, TimeSpan.FromSeconds(60), (TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(4)), TimeSpan.FromSeconds(12), MaxPauseMs: 1500, qemu);

    /// <summary>Four guests on the slow link, two runs each, stock cut at 20 s, the other policies on one guest: up to ten minutes.</summary>
    public static MigrationBenchSettings Quick(string qemu) => new(
        [BenchGuest.Idle(SlowLink), BenchGuest.Redis(SlowLink), BenchGuest.Rewriting(2, SlowLink), BenchGuest.Phases(SlowLink)],
        Main, Others, ["rewrite-2x"], SlowLink, Runs: 2, TimeSpan.FromSeconds(60), (TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20)), TimeSpan.FromSeconds(10), MaxPauseMs: 1500, qemu);

    /// <param name="hasNeverEnded">In the runs of this policy on this guest so far, of which there was one.</param>
    public TimeSpan CutOf(string policy, bool hasNeverEnded) => policy != "stock" ? Cut : hasNeverEnded ? StockCut.Again : StockCut.First;

    public IReadOnlyList<string> PoliciesOn(BenchGuest guest) =>
        MoreOn.Contains(guest.Name) && guest.LinkMBps == MoreLinkMBps ? [.. Policies, .. MorePolicies] : Policies;
}
