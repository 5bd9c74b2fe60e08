namespace Pollux.Replication.Link;

/// <summary>
/// Rule 8: after a gap of its own a primary reads the role before it releases anything. Between the gap's end and the moment at which the pair's
/// machine hears of it, this keeps releases back; what is not released then is released when the role was read. Each gap counts for itself: that the
/// machine has heard of one says nothing of the next, which may be on its way to it.
/// </summary>
public sealed class UnheardLateness
{
    private int _unheard;

    /// <summary>A gap was found. To be called before the machine is told, and before <see cref="HeartbeatLink.IsLate"/> is false again.</summary>
    public void Found() => Interlocked.Increment(ref _unheard);

    /// <summary>The machine has heard of one gap.</summary>
    public void Heard() => Interlocked.Decrement(ref _unheard);

    /// <param name="isLateNow">Nobody has watched for too long, and no gap was found yet. Asked first: once it is false, what was found is counted.</param>
    public bool MayRelease(Func<bool> isLateNow) => !isLateNow() && Volatile.Read(ref _unheard) == 0;
}
