namespace Pollux.Migration.Policies.Mp;

/// <summary>What would come of stopping the guest now, and of going on. Bytes on the link and milliseconds. Pure: made of the terms and the samples.</summary>
internal sealed class MigrationForecast
{
    /// <summary>An order takes effect with QEMU's next window of 100 ms, and the sample is half an interval old.</summary>
    private const double LeadMs = 125;

    private readonly MigrationTerms _terms;
    private readonly double _linkBytesPerMs;
    private readonly double _usedBytes;
    private readonly double _sentBytes;
    private readonly double _sinceLookMs;
    private readonly double _sentSinceLook;
    private readonly double _windowMs; // before the last look
    private readonly bool _isFirstPass;
    private readonly PagePattern _pattern;

    public MigrationForecast(MigrationTerms terms, IReadOnlyList<MigrationSample> samples)
    {
        var (now, looks) = (samples[^1], DirtyLooks.In(samples));
        (_terms, _linkBytesPerMs) = (terms, LinkRate.Of(terms, samples) / 1000);
        (Curve, _pattern) = (WriteCurve.Of(now.Ram, looks), PagePattern.Of(samples));
        _isFirstPass = looks.Count == 0;
        _sentBytes = now.SentBytes;
        _sinceLookMs = _isFirstPass ? now.AtMs : now.AtMs - looks[^1].AtMs;
        _sentSinceLook = now.SentBytes - (_isFirstPass ? 0 : looks[^1].SentBytes);
        _windowMs = _isFirstPass ? 0 : looks[^1].WindowMs;
        _usedBytes = Math.Min(terms.RamBytes, now.Ram is { UsedBytes: > 0 and var used } ? used : terms.RamBytes);
        RestBytes = RestOf(now);
    }

    public WriteCurve Curve { get; }

    public PagePattern Pattern => _pattern;

    /// <summary>To be sent as QEMU knows, without the pages that are only zero as far as they are known.</summary>
    public double RestBytes { get; }

    /// <summary>The pause if the guest is stopped at the next opportunity.</summary>
    public double PauseNowMs => PauseMs(RestBytes + DirtyBytes);

    /// <summary>How much of what is left one more pass over it leaves to be sent again: 0 the rest is cold, 1 going on is of no use.</summary>
    public double ShareLeftByAPass
    {
        get
        {
            var pass = Math.Max(RestBytes, _linkBytesPerMs);
            var (soon, later) = (Math.Min(_usedBytes, Curve.Within(_sinceLookMs)), Math.Min(_usedBytes, Curve.Within(_sinceLookMs + (pass / _linkBytesPerMs))));
            return Math.Clamp((later - soon) / pass, 0, 1);
        }
    }

    /// <summary>
    /// What going on until next to nothing is left sends in vain, as a share of all that is sent at least: each pass leaves the same share of the one before.
    /// Infinite when passes do not shrink.
    /// </summary>
    public double VainShare => ShareLeftByAPass is < 1 and var left ? RestBytes * left / (1 - left) / Math.Max(1, _sentBytes + RestBytes) : double.PositiveInfinity;

    /// <summary>
    /// The shortest pause that going on can lead to, by a curve that flatters: the rest that reproduces itself while it is sent. What a pause shorter than it
    /// would need is a guest that writes less.
    /// </summary>
    public double ShortestPauseMs
    {
        get
        {
            var rest = _usedBytes;
            for (var pass = 0; pass < 100; pass++)
            {
                rest = Math.Min(rest, Curve.WithinAtLeast(rest / _linkBytesPerMs));
            }
            return PauseMs(rest);
        }
    }

    /// <summary>
    /// Written since the look among what QEMU takes to be clean, until an order takes effect. What was sent since may be dirty again; and pages may be written
    /// that were not in the window before the look, as many as the curve grows by.
    /// </summary>
    private double DirtyBytes
    {
        get
        {
            var byNow = Curve.Within(_sinceLookMs + LeadMs);
            return _isFirstPass
                ? Math.Min(_sentSinceLook, byNow)
                : Math.Min(_sentSinceLook, Math.Max(byNow, _pattern.HotSentBytes)) + (Curve.Within(_windowMs + _sinceLookMs + LeadMs) - Curve.Within(_windowMs));
        }
    }

    /// <summary>There is no more than all of it.</summary>
    private double MostBytes => Math.Max(_usedBytes, RestBytes);

    private double PauseMs(double bytes) => (Math.Min(Math.Max(0, bytes), MostBytes) / _linkBytesPerMs) + _terms.OverheadMs;

    /// <summary>Pages that were never sent are at most as many as are in use and were not sent; zero pages among them cost next to nothing.</summary>
    private double RestOf(MigrationSample now)
    {
        if (now.Ram is not { UsedBytes: > 0 })
        {
            return now.RemainingBytes;
        }
        double neverSent = Math.Max(0, (_terms.RamBytes / DirtyLooks.PageBytes) - (now.SentPages - now.ResentPages)) * DirtyLooks.PageBytes;
        neverSent = Math.Min(neverSent, now.RemainingBytes);
        var wholeSentOnce = Math.Max(0, now.SentBytes - (now.ResentPages * DirtyLooks.PageBytes));
        return now.RemainingBytes - neverSent + Math.Min(neverSent, Math.Max(0, _usedBytes - wholeSentOnce));
    }
}
