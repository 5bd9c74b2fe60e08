using Pollux.Cluster.Keepers;

namespace Pollux.Keeper;

/// <summary>How often a standby's memory was found wrong, and what was said the last time. Outlives the standbys.</summary>
internal sealed class ScrubAlarms
{
    private readonly Lock _lock = new();
    private long _count;
    private string? _last;
    private double _lastUnixMs;

    public long Count
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    public void Note(string what)
    {
        lock (_lock)
        {
            _count++;
            _last = what;
            _lastUnixMs = (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalMilliseconds;
        }
        KeeperLog.Say($"ALARM: {what}");
    }

    public ScrubStatus Status(long pages, long rounds)
    {
        lock (_lock)
        {
            return new ScrubStatus(pages, rounds, _count, _last, _last is null ? null : _lastUnixMs);
        }
    }
}
