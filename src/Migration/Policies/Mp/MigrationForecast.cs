namespace Pollux.Migration.Policies.Mp;

/// <summary>What would come of stopping the guest now, and of going on. Bytes on the link and milliseconds. Pure: made of the terms and the samples.</summary>
internal sealed class MigrationForecast
{
    /// <summary>An order takes effect with QEMU's next window of 100 ms, at the end of a slice of 50: what is written until then is counted for the longest,</summary>
    internal const double LeadMs = 150;

    /// <summary>and what is sent until then for the shortest.</summary>
    private const double ShortestLeadMs = 20;

    /// <summary>QEMU measures its rate in windows of 100 ms, of which the last that ended counts; and a sample is late.</summary>
    private const double QemuMemoryMs = 300;

    /// <summary>Less than this is nothing to go on for.</summary>
    private const double SmallestRestMs = 30;

    /// <summary>The next sample comes so much later.</summary>
    private const double SampleMs = 50;

    private readonly MigrationTerms _terms;
    private readonly double _linkBytesPerMs;
    private readonly double _usedBytes;
    private readonly double _sentBytes;
    private readonly double _sinceLookMs;
    private readonly double _sentSinceLook;
    private readonly double _windowMs; // before the last look
    private readonly bool _isFirstPass;
    private readonly PagePattern _pattern;
    private readonly double _nowMs;
    private readonly double _neverSent; // when an order takes effect
    private readonly FirstRound? _round; // null: it is over, or nobody watches

    /// <param name="allowedMs">For the pause.</param>
    public MigrationForecast(MigrationTerms terms, IReadOnlyList<MigrationSample> samples, double allowedMs)
    {
        var (now, looks) = (samples[^1], DirtyLooks.In(samples));
        (_terms, _linkBytesPerMs) = (terms, LinkRate.Of(terms, samples) / 1000);
        (Curve, _pattern) = (WriteCurve.Of(now.Ram, looks), PagePattern.Of(samples));
        _isFirstPass = looks.Count == 0;
        _usedBytes = Math.Min(terms.RamBytes, now.Ram is { UsedBytes: > 0 and var used } ? used : terms.RamBytes);
        PostponedBytes = now.PostponedBytes;
        (_sentBytes, _nowMs, _neverSent) = (now.SentBytes, now.AtMs, Math.Max(0, NeverSent(now) - SentInLead));
        _sinceLookMs = _isFirstPass ? now.AtMs : now.AtMs - looks[^1].AtMs;
        _sentSinceLook = now.SentBytes - (_isFirstPass ? 0 : looks[^1].SentBytes);
        _windowMs = _isFirstPass ? 0 : looks[^1].WindowMs;
        RestBytes = RestOf(now) - SentAgain(samples);
        IsTakingIn = samples.Any(s => now.AtMs - s.AtMs <= QemuMemoryMs && s.PostponedBytes < PostponedBytes);
        if (now.Ram is { WrittenBySlice.Count: > 0 } ram)
        {
            _round = new FirstRound(terms.RamBytes, Curve, now, ram, NeverSent(now), SentInLead);
            Postponement = Mp.Postponement.Of(
                terms.RamBytes, ram, WriteFront.In(terms.RamBytes, _linkBytesPerMs, samples), SentOnceBytes(now), _neverSent / _linkBytesPerMs,
                ((allowedMs - terms.OverheadMs) * _linkBytesPerMs) - PostponedBytes - _round.Dirty - _round.DirtyError);
        }
    }

    public WriteCurve Curve { get; }

    public PagePattern Pattern => _pattern;

    /// <summary>What would better wait until the guest stands, if it is memory-intensive.</summary>
    public Postponement Postponement { get; }

    /// <summary>Pages wait until the guest stands.</summary>
    public double PostponedBytes { get; }

    /// <summary>QEMU's measure of the link still has a window in it in which pages came to wait.</summary>
    public bool IsTakingIn { get; }

    /// <summary>Pages wait: QEMU takes them for sent, and reckons with a link that is faster than it is.</summary>
    public double PostponedMs => PostponedBytes / _linkBytesPerMs;

    /// <summary>To be sent as QEMU knows, without the pages that are only zero as far as they are known.</summary>
    public double RestBytes { get; }

    /// <summary>The pause if the guest is stopped at the next opportunity.</summary>
    public double PauseNowMs => PauseMs(_round?.Left ?? RestBytes + DirtyWithin(_sinceLookMs + LeadMs));

    /// <summary>
    /// What finishing the first round sends in vain, as a share of all that is sent at least: pages before where QEMU will be that are clean now, and will be written. Null: the round
    /// is as good as over, or nobody watches.
    /// </summary>
    /// <param name="postponed">What will wait of it.</param>
    public double? VainShareOfRound(Postponement postponed)
    {
        var smallestMs = PostponedBytes > 0 || postponed.Slices != 0 ? LeadMs + SampleMs : SmallestRestMs;
        return _round is { Dirty: var dirty } && _neverSent - postponed.AheadBytes > smallestMs * _linkBytesPerMs
            ? Math.Max(0, LeftAfterRound - dirty - PostponedBytes - postponed.AheadBytes) / Math.Max(1, _sentBytes + _neverSent + dirty)
            : null;
    }

    /// <summary>How much of what a pass has to send the next one has to send again: 1 more passes leave as much, 0 the guest writes nothing.</summary>
    public double ShareLeftByAPass => LeftNow is > 0 and var left ? Math.Clamp(Math.Min(_usedBytes, Curve.Within(left / _linkBytesPerMs)) / left, 0, 1) : 0;

    /// <summary>
    /// What going on until next to nothing is left sends in vain, as a share of all that is sent at least: each pass leaves the same share of the one before.
    /// Infinite when passes do not shrink.
    /// </summary>
    public double VainShare => ShareLeftByAPass is < 1 and var again ? LeftNow * again / (1 - again) / Math.Max(1, _sentBytes + RestBytes) : double.PositiveInfinity;

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
            // What waits is sent in the pause in any case.
            return Math.Max(PauseMs(rest), PostponedMs + _terms.OverheadMs);
        }
    }

    /// <summary>
    /// Written since the look, within so long, among what QEMU takes to be clean. What was sent since may be dirty again; and pages may be written that were not in the window
    /// before the look, as many as the curve grows by.
    /// </summary>
    private double DirtyWithin(double ms)
    {
        var written = Curve.Within(ms);
        return _isFirstPass
            ? Math.Min(_sentSinceLook, written)
            : Math.Min(_sentSinceLook, Math.Max(written, _pattern.HotSentBytes)) + (Curve.Within(_windowMs + ms) - Curve.Within(_windowMs));
    }

    private double SentInLead => ShortestLeadMs * _linkBytesPerMs;

    /// <summary>At the end of the first round all is dirty that was written since the beginning.</summary>
    private double LeftAfterRound => Math.Min(_usedBytes, Curve.Within(_nowMs + LeadMs + (_neverSent / _linkBytesPerMs)));

    /// <summary>What one would have to send to have sent all once again: what QEMU knows to be left, or all that was written since its look where that is more.</summary>
    private double LeftNow => _isFirstPass && !Curve.IsUnknown ? LeftAfterRound : Math.Max(RestBytes, Math.Min(_usedBytes, Curve.Within(_sinceLookMs)));

    private static double SentOnceBytes(MigrationSample now) => (double)(now.SentPages - now.ResentPages) * DirtyLooks.PageBytes;

    /// <summary>There is no more than all of it.</summary>
    private double MostBytes => Math.Max(_usedBytes, RestBytes);

    private double PauseMs(double bytes) => (Math.Min(Math.Max(0, bytes), MostBytes) / _linkBytesPerMs) + _terms.OverheadMs;

    private double RestOf(MigrationSample now)
    {
        var never = Math.Min(NeverSentPages(now) * DirtyLooks.PageBytes, now.RemainingBytes);
        return now.RemainingBytes - never + Math.Min(never, NeverSent(now)) + PostponedBytes;
    }

    /// <summary>What waits and QEMU has to send again anyway, by what was seen written in the first round: it counts once.</summary>
    private double SentAgain(IReadOnlyList<MigrationSample> samples)
    {
        if (_isFirstPass || PostponedBytes == 0 || samples.LastOrDefault(s => s.Ram?.WrittenBySlice is not null) is not { PostponedBySlice: { } postponed, Ram.WrittenBySlice: { } written })
        {
            return 0;
        }
        var rewritten = written.Zip(postponed, (bytes, pages) => Math.Min(bytes, (double)pages * DirtyLooks.PageBytes)).Sum();
        return Math.Min(samples[^1].RemainingBytes, Math.Min(rewritten, PostponedBytes));
    }

    /// <summary>Pages that were never sent, but at most as many as are in use and were not sent: zero pages cost next to nothing.</summary>
    private double NeverSent(MigrationSample now)
    {
        var wholeSentOnce = Math.Max(0, now.SentBytes - (now.ResentPages * DirtyLooks.PageBytes));
        return Math.Min(NeverSentPages(now) * DirtyLooks.PageBytes, Math.Max(0, _usedBytes - wholeSentOnce - now.PostponedBytes));
    }

    private double NeverSentPages(MigrationSample now) => Math.Max(0, (_terms.RamBytes / DirtyLooks.PageBytes) - (now.SentPages - now.ResentPages));
}
