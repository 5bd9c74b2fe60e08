using System.Globalization;
using Pollux.Lab.Bench.Modes;
using Pollux.Migration;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Migration;

/// <summary>
/// What MP is held to, guest by guest and link by link, by medians. Success, relaxed, doubling and ramp are asked where stock never ends, which is where such a
/// policy is for; capped and the allowed pause are asked everywhere. Pure.
/// </summary>
public static class MigrationGoals
{
    private const double LessTime = 0.22;
    private const double LessData = 0.19;

    /// <summary>Two runs of the same policy differ by more.</summary>
    private const double CappedTolerance = 0.03;

    public static IReadOnlyList<Goal> Of(IReadOnlyList<MigrationRow> rows) =>
    [
        .. rows.GroupBy(r => (r.Kind, r.Guest, r.LinkMBps)).SelectMany(place => OfPlace([.. place])),
    ];

    private static IEnumerable<Goal> OfPlace(IReadOnlyList<MigrationRow> rows)
    {
        MigrationRow? Row(string policy) => rows.FirstOrDefault(r => r.Policy == policy);
        if (Row("mp") is not { } mp)
        {
            yield break;
        }
        var where = $"{mp.Guest}, {N(mp.LinkMBps)} MB/s{(mp.Kind == RunKind.Replayed ? " (replayed)" : "")}";
        if (Row("stock") is { Succeeded: 0 } stock)
        {
            yield return new Goal($"{where}: mp always succeeds where stock never does", $"{mp.Succeeded} of {mp.Repetitions}; stock {stock.Succeeded} of {stock.Repetitions}", mp.AlwaysSucceeded);
            foreach (var goal in Less(where, mp, Row("relaxed"), LessTime, LessData).Concat(Less(where, mp, Row("doubling"), 0, 0)).Concat(Less(where, mp, Row("ramp"), 0, 0)))
            {
                yield return goal;
            }
        }
        foreach (var goal in NoWorse(where, mp, Row("capped")))
        {
            yield return goal;
        }
        if (mp.PauseMs is { } pause)
        {
            yield return new Goal($"{where}: pause ≤ {N(mp.MaxPauseMs)} ms, which is allowed", $"{N(pause.Median)} ms, at most {N(pause.Most)}", pause.Most <= mp.MaxPauseMs);
        }
    }

    private static IEnumerable<Goal> Less(string where, MigrationRow mp, MigrationRow? other, double time, double data)
    {
        if (other is null)
        {
            yield break;
        }
        if (other.Succeeded == 0)
        {
            yield return new Goal($"{where}: less than {other.Policy}", $"{other.Policy} never ended", mp.AlwaysSucceeded);
            yield break;
        }
        static string By(double share) => share > 0 ? $"at least {Percent(share)} less" : "less";
        yield return Compare($"{where}: {By(time)} time than {other.Policy}", "s", mp, mp.TotalSeconds, other.TotalSeconds, 1 - time, isStrict: time == 0);
        yield return Compare($"{where}: {By(data)} data than {other.Policy}", "MB", mp, mp.SentMB, other.SentMB, 1 - data, isStrict: data == 0);
    }

    private static IEnumerable<Goal> NoWorse(string where, MigrationRow mp, MigrationRow? capped)
    {
        if (capped is not { Succeeded: > 0 })
        {
            yield break;
        }
        var tolerance = $"(within {Percent(CappedTolerance)})";
        yield return Compare($"{where}: no more time than capped {tolerance}", "s", mp, mp.TotalSeconds, capped.TotalSeconds, 1 + CappedTolerance, isStrict: false);
        yield return Compare($"{where}: no more data than capped {tolerance}", "MB", mp, mp.SentMB, capped.SentMB, 1 + CappedTolerance, isStrict: false);
    }

    private static Goal Compare(string what, string unit, MigrationRow mp, Spread own, Spread others, double factor, bool isStrict)
    {
        var most = others.Median * factor;
        return new Goal(what, $"{N(own.Median)} {unit} against {N(others.Median)}: {Signed((own.Median / others.Median) - 1)}", mp.Succeeded > 0 && (isStrict ? own.Median < most : own.Median <= most));
    }

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0} %");

    private static string Signed(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:+0;−0;0} %");
}
