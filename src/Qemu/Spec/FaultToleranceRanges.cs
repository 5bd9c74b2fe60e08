namespace Pollux.Qemu.Spec;

/// <summary>What a setting may be, both ends included, ms.</summary>
public readonly record struct MsRange(int Least, int Most)
{
    public bool Contains(int ms) => ms >= Least && ms <= Most;
}

/// <summary>The ranges of the settings of protection, in the spec and while the VM runs.</summary>
public static class FaultToleranceRanges
{
    public static readonly MsRange Interval = new(1, 10_000);
    public static readonly MsRange Floor = new(0, 1_000);

    /// <summary>At most half of the time after which the kernel ends a connection that nobody answers: silence is judged before that.</summary>
    public static readonly MsRange Detection = new(50, 5_000);
    public static readonly MsRange Heartbeat = new(5, 1_000);

    /// <summary>One or two lost heartbeats are no silence.</summary>
    public static bool HasHeartbeatsEnough(int heartbeatMs, int detectionMs) => heartbeatMs * 3 <= detectionMs;
}
