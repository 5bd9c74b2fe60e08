namespace Pollux.Replication.Link;

/// <summary>What a tick of <see cref="SilenceJudge"/> found.</summary>
/// <param name="SilentMs">The peer was silent for this long of watched time: it counts as dead. Said once per silence.</param>
/// <param name="LateMs">The observer itself was late by this much.</param>
/// <param name="HeardAgain">The peer was heard after a silence had been said.</param>
public readonly record struct SilenceVerdict(double? SilentMs, double? LateMs, bool HeardAgain);

/// <summary>
/// Decides when silence means death (rule 8): only time that the observer itself spent watching counts. A tick that comes late adds no
/// more than two periods of silence, so an observer that was frozen or starved accuses nobody before it has listened again for the
/// whole detection time.
/// </summary>
/// <param name="detectionMs">Watched silence after which the peer counts as dead.</param>
/// <param name="periodMs">How often <see cref="Tick"/> is meant to be called.</param>
public sealed class SilenceJudge(double detectionMs, double periodMs)
{
    private double? _lastTickMs;
    private long _lastHeard;
    private double _silentMs;
    private bool _said;

    public double DetectionMs { get; set; } = detectionMs;

    /// <param name="nowMs">Monotonic time.</param>
    /// <param name="heard">A count of what the peer sent; any change means that it lives.</param>
    public SilenceVerdict Tick(double nowMs, long heard)
    {
        var gap = nowMs - (_lastTickMs ?? nowMs);
        _lastTickMs = nowMs;
        double? late = gap > DetectionMs / 2 ? gap : null;
        if (heard != _lastHeard)
        {
            var again = _said;
            _lastHeard = heard;
            _silentMs = 0;
            _said = false;
            return new SilenceVerdict(null, late, again);
        }
        _silentMs += Math.Min(gap, 2 * periodMs);
        if (_silentMs < DetectionMs || _said)
        {
            return new SilenceVerdict(null, late, false);
        }
        _said = true;
        return new SilenceVerdict(_silentMs, late, false);
    }
}
