using System.Runtime.InteropServices;

namespace Pollux.Linux;

/// <summary>Scheduling of single threads.</summary>
public static unsafe partial class Scheduling
{
    private const int RoundRobin = 2;

    /// <summary>
    /// Puts the calling thread before all ordinary ones (SCHED_RR, lowest real-time priority): a heartbeat must not wait behind a
    /// busy guest. False when the system does not allow it; the thread then runs as any other.
    /// </summary>
    public static bool TryMakeRealTime()
    {
        var priority = 1;
        return sched_setscheduler(0, RoundRobin, &priority) == 0;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sched_setscheduler(int threadId, int policy, int* priority);
}
