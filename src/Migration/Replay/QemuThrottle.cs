namespace Pollux.Migration.Replay;

/// <summary>
/// QEMU 7.2's figures of a second or more, and its auto-converge (ram.c, <c>migration_trigger_throttle</c>): when twice more was dirtied than half of
/// what was sent, the guest loses 20 % of its time, then 10 % more each further time.
/// </summary>
internal sealed class QemuThrottle
{
    private const double PeriodMs = 1000;
    private const int FirstPercent = 20;
    private const int StepPercent = 10;
    private const int MostPercent = 99;
    private double _periodFrom;
    private long _periodPages;
    private long _periodFromBytes;
    private int _high;

    public bool IsOn { get; set; }

    public int Percent { get; private set; }

    public double DirtyPagesPerSecond { get; private set; }

    /// <param name="added">Pages that the look added.</param>
    public void Looked(double now, int added, long sentBytes)
    {
        _periodPages += added;
        if (now - _periodFrom <= PeriodMs)
        {
            return;
        }
        if (IsOn && _periodPages * Policies.DirtyLooks.PageBytes > (sentBytes - _periodFromBytes) / 2 && ++_high >= 2)
        {
            _high = 0;
            Percent = Percent == 0 ? FirstPercent : Math.Min(MostPercent, Percent + StepPercent);
        }
        DirtyPagesPerSecond = _periodPages * 1000 / (now - _periodFrom);
        (_periodFrom, _periodPages, _periodFromBytes) = (now, 0, sentBytes);
    }
}
