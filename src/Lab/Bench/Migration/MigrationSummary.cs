using Pollux.Lab.Bench.Modes;
using Pollux.Migration;
using Pollux.Migration.Policies;

namespace Pollux.Lab.Bench.Migration;

/// <summary>From runs to rows. Pure.</summary>
public static class MigrationSummary
{
    /// <summary>Measured ones first, then in the order in which guests and links first appear, policies always in the same.</summary>
    public static IReadOnlyList<MigrationRow> Rows(IReadOnlyList<MigrationRun> runs) =>
    [
        .. runs.GroupBy(r => r.Kind).OrderBy(k => k.Key)
            .SelectMany(kind => kind.GroupBy(r => (r.Guest, r.LinkMBps))
                .SelectMany(place => place.GroupBy(r => r.Policy).OrderBy(p => PlaceOf(p.Key)).Select(p => Row([.. p])))),
    ];

    /// <summary>Of a policy among all: the same in every table and plot.</summary>
    public static int PlaceOf(string policy) => MigrationPolicies.Names.Index().Where(n => n.Item == policy).Select(n => n.Index).FirstOrDefault(MigrationPolicies.Names.Count);

    private static MigrationRow Row(IReadOnlyList<MigrationRun> own)
    {
        var ended = own.Where(r => r.Succeeded).ToList();
        var shown = ended.Count > 0 ? ended : [own.MaxBy(r => r.TotalSeconds)!];
        Spread? Known(Func<MigrationRun, double?> figure) => shown.Select(figure).OfType<double>().ToList() is { Count: > 0 } values ? Spread.Of(values) : null;
        return new MigrationRow(
            own[0].Kind, own[0].Guest, own[0].LinkMBps, own[0].Policy, own.Count, ended.Count, Spread.Of(shown.Select(r => r.TotalSeconds)), Spread.Of(shown.Select(r => r.SentBytes / 1e6)),
            ended.Count > 0 ? Known(r => r.PauseMs) : null, Known(r => r.GuestSpeed), own.Max(r => r.MaxPauseMs), own[0].LimitMs);
    }
}
