using System.Globalization;
using Pollux.Cluster.Events;

namespace Pollux.Keeper.Events;

/// <summary>What the watch looks at, at one moment.</summary>
/// <param name="NowMs">Monotonic.</param>
/// <param name="Who">Who or what waits for the role key to be decided; null when nothing does.</param>
/// <param name="Question">Why it must be decided.</param>
/// <param name="HasArbiter">A majority of etcd answers.</param>
/// <param name="LagMs">Protected: the age of the last committed cut; null otherwise.</param>
/// <param name="IntervalMs">The longest run of the guest between two cuts.</param>
internal readonly record struct PatienceSample(
    double NowMs, string? Who, string Question, bool HasArbiter, double? LagMs, long UncommittedBytes, long HeldFrames, double IntervalMs);

/// <summary>
/// Tells of what should pass at once and lasts: a question to the arbiter, commits that do not come. Once when it has lasted, once when it is
/// over, nothing of what is quick. Pure but for what it remembers; called again and again.
/// </summary>
internal sealed class PatienceWatch
{
    internal const double QuestionMs = 1_000;
    internal const double LagLeastMs = 2_000;

    /// <summary>With long intervals, so many of them.</summary>
    internal const double LagIntervals = 4;

    private double? _askedAt;
    private bool _toldQuestion;
    private double? _laggingSince;

    public IEnumerable<EventDraft> Look(PatienceSample sample)
    {
        if (LookAtQuestion(sample) is { } question)
        {
            yield return question;
        }
        if (LookAtLag(sample) is { } lag)
        {
            yield return lag;
        }
    }

    private EventDraft? LookAtQuestion(PatienceSample sample)
    {
        if (sample.Who is null)
        {
            var waited = _toldQuestion ? sample.NowMs - _askedAt : null;
            (_askedAt, _toldQuestion) = (null, false);
            return waited is { } ms ? Timed(EventKinds.WaitedFor, EventWeight.Info, $"who runs it was decided after {Seconds(ms)}", "waitedMs", ms) : null;
        }
        _askedAt ??= sample.NowMs;
        if (_toldQuestion || sample.NowMs - _askedAt < QuestionMs)
        {
            return null;
        }
        _toldQuestion = true;
        return new EventDraft(EventKinds.Waiting, EventWeight.Alarm, sample.HasArbiter
            ? $"{sample.Who} waits: {sample.Question}"
            : $"{sample.Who} waits until a majority of etcd answers: {sample.Question}");
    }

    private EventDraft? LookAtLag(PatienceSample sample)
    {
        if (sample.LagMs is not { } lag)
        {
            _laggingSince = null;
            return null;
        }
        var limit = Math.Max(LagLeastMs, LagIntervals * sample.IntervalMs);
        if (_laggingSince is null && lag >= limit)
        {
            _laggingSince = sample.NowMs - lag;
            return Timed(EventKinds.Lagging, EventWeight.Warning, string.Create(CultureInfo.InvariantCulture,
                $"no checkpoint was committed for {Seconds(lag)}: {sample.UncommittedBytes / 1048576.0:0.#} MiB are on the way and {sample.HeldFrames} frames wait; the link or the standby is slow"),
                "lagMs", lag);
        }
        if (_laggingSince is { } since && lag < limit / 2)
        {
            _laggingSince = null;
            var lasted = sample.NowMs - lag - since;
            return Timed(EventKinds.LagOver, EventWeight.Info, $"checkpoints are committed again, after {Seconds(lasted)}", "lastedMs", lasted);
        }
        return null;
    }

    private static EventDraft Timed(string kind, EventWeight weight, string text, string figure, double ms) =>
        new(kind, weight, text, new Dictionary<string, double> { [figure] = Math.Round(ms) });

    private static string Seconds(double ms) => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000:0.0} s");
}
