namespace Pollux.Migration.Policies.Mp;

/// <summary>
/// How many different bytes the guest writes within a time: rises ever more slowly, because a hot page counts once. It is known at a few points only (what a
/// sample of its pages shows, what QEMU's looks found), and read between them. Pure.
/// </summary>
internal sealed class WriteCurve
{
    private const int LooksMost = 3;

    /// <summary>A look while much was still to be sent does not see what was written there.</summary>
    private const double CleanShareLeast = 0.8;

    /// <summary>A point that disagrees by more than this is from another phase of the guest.</summary>
    private const double Agreement = 1.25;

    private readonly List<(double Ms, double Bytes)> _points;

    private WriteCurve(List<(double Ms, double Bytes)> points) => _points = points;

    /// <summary>Nothing was seen yet.</summary>
    public bool IsUnknown => _points.Count == 0;

    public static WriteCurve Of(RamSight? sight, IReadOnlyList<DirtyLook> looks)
    {
        // The latest says what the guest does now: what disagrees with it is forgotten.
        var accepted = new List<(double Ms, double Bytes)>();
        foreach (var point in sight?.Written ?? [])
        {
            if (point.Ms > 0 && double.IsFinite(point.Ms) && point.Bytes >= 0 && double.IsFinite(point.Bytes))
            {
                accepted.Add((point.Ms, point.Bytes));
            }
        }
        for (var (i, accepting) = (looks.Count - 1, LooksMost); i >= 0 && accepting > 0; i--)
        {
            if (looks[i].FreshBytes >= looks[i].RestBytes * CleanShareLeast)
            {
                Accept(looks[i].WindowMs, looks[i].FreshBytes);
                accepting--;
            }
        }
        accepted.Sort();
        return new WriteCurve(accepted);

        void Accept(double ms, double bytes)
        {
            if (accepted.TrueForAll(p => p.Ms <= ms ? Agree(p, (ms, bytes)) : Agree((ms, bytes), p)))
            {
                accepted.RemoveAll(p => p.Ms == ms);
                accepted.Add((ms, bytes));
            }
        }
    }

    /// <summary>Different bytes within a time. Beyond the last point it goes on as it went between the last two, from the beginning if there is but one.</summary>
    public double Within(double ms)
    {
        if (IsUnknown || !(ms > 0))
        {
            return 0;
        }
        var (from, to) = ((Ms: 0.0, Bytes: 0.0), _points[0]);
        for (var i = 1; i < _points.Count && ms > to.Ms; i++)
        {
            (from, to) = (to, _points[i]);
        }
        var slope = Math.Max(0, (to.Bytes - from.Bytes) / Math.Max(1, to.Ms - from.Ms));
        return from.Bytes + (slope * (ms - from.Ms));
    }

    /// <summary>Surely no less: beyond the last point nothing new is written.</summary>
    public double WithinAtLeast(double ms) => IsUnknown ? 0 : Within(Math.Min(ms, _points[^1].Ms));

    /// <summary>More in more time, but not out of proportion.</summary>
    private static bool Agree((double Ms, double Bytes) shorter, (double Ms, double Bytes) longer) =>
        longer.Bytes * Agreement >= shorter.Bytes && longer.Bytes <= shorter.Bytes * (longer.Ms / shorter.Ms) * Agreement;
}
