namespace Pollux.Lab.Demo;

/// <summary>
/// Several rounds as one report: counts are sums, what must never happen counts if it happened once, the longest gap and the longest
/// pause are the worst, and all else is the median.
/// </summary>
internal static class DemoSummary
{
    internal static DemoReport Of(IReadOnlyList<DemoReport> rounds)
    {
        if (rounds is [var only])
        {
            return only;
        }
        var takeovers = rounds.Select(r => r.Takeover).OfType<DemoTakeover>().ToList();
        return rounds[0] with
        {
            Outcome = rounds.All(r => r.Outcome == rounds[0].Outcome) ? rounds[0].Outcome : "solo",
            Checkpoints = Checkpoints([.. rounds.Select(r => r.Checkpoints)]),
            Client = Client([.. rounds.Select(r => r.Client)]),
            Takeover = takeovers.Count == 0 ? null : new DemoTakeover(
                Median(takeovers, t => t.DetectMs), Median(takeovers, t => t.ArbitrateMs), Median(takeovers, t => t.ResumeMs),
                Median(takeovers, t => t.KillToFirstAnswerMs)),
            Rounds = rounds,
        };
    }

    private static DemoCheckpoints Checkpoints(IReadOnlyList<DemoCheckpoints> all) => new(
        all.Sum(c => c.Count),
        Median(all, c => c.PerSecond),
        new PauseSpread(Median(all, c => c.PauseMs.P50), Median(all, c => c.PauseMs.P99), all.Max(c => c.PauseMs.Max)),
        new Spread(Median(all, c => c.Pages.P50), Median(all, c => c.Pages.P99)));

    private static DemoClient Client(IReadOnlyList<DemoClient> all) => new(
        all.Sum(c => c.Requests), all.Sum(c => c.Acknowledged), all.Sum(c => c.Lost), all.Sum(c => c.WrongAnswers),
        all.All(c => c.ConnectionSurvived),
        new RoundTrips(all[0].RttMs.Unprotected, new Spread(Median(all, c => c.RttMs.Protected.P50), Median(all, c => c.RttMs.Protected.P99))),
        all.Max(c => c.LongestGapMs),
        all.Select(c => c.FirstComplaint).FirstOrDefault(c => c is not null));

    /// <summary>The lower of the two middle values when their number is even.</summary>
    private static double Median<T>(IReadOnlyList<T> all, Func<T, double> of) => all.Select(of).Order().ElementAt((all.Count - 1) / 2);
}
