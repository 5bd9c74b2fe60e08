using System.Diagnostics;
using Pollux.Core;

namespace Pollux.Keeper.Primary;

/// <summary>What the standby has acknowledged, and how the checkpoint thread waits for it.</summary>
internal sealed class Commits
{
    /// <summary>
    /// One epoch travels while the next is cut and waits for it. On a link that cannot keep up, more of them would only lie in the buffers,
    /// and every frame would wait for all that lies before it.
    /// </summary>
    private const int MostInFlight = 2;

    /// <summary>Room in the buffers and the end of a session are not announced.</summary>
    private const int LookMs = 5;

    /// <summary>A standby whose heart beats but that commits nothing is lost all the same. A slow link takes seconds for a full buffer.</summary>
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(60);

    private readonly object _lock = new();
    private Epoch _last = Epoch.None;
    private long _waits;

    /// <summary>The last epoch that was acknowledged.</summary>
    public Epoch Last
    {
        get
        {
            lock (_lock)
            {
                return _last;
            }
        }
    }

    /// <summary>How often a cut had to wait.</summary>
    public long Waits => Interlocked.Read(ref _waits);

    public void Note(Epoch epoch)
    {
        lock (_lock)
        {
            _last = epoch;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>
    /// Waits until <paramref name="open"/> may be cut: QEMU has asked, and the guest runs until it is answered, so that the link better catches up now
    /// than inside the pause.
    /// </summary>
    /// <param name="mayWait">The guest may run on, and anybody is interested.</param>
    /// <param name="overdue">Called each time nothing was acknowledged for long, with that in words.</param>
    public void WaitToCut(Epoch open, Func<bool> hasRoom, Func<bool> mayWait, Action<string> overdue)
    {
        var least = new Epoch(open.Value - MostInFlight);
        bool MustWait() => (_last < least || !hasRoom()) && mayWait();
        lock (_lock)
        {
            if (!MustWait())
            {
                return;
            }
            Interlocked.Increment(ref _waits);
            WaitWhile(MustWait, overdue);
        }
    }

    /// <summary>Waits for one epoch.</summary>
    /// <param name="overdue">As in <see cref="WaitToCut"/>.</param>
    public void WaitFor(Epoch epoch, Func<bool> mayWait, Action<string> overdue)
    {
        lock (_lock)
        {
            WaitWhile(() => _last < epoch && mayWait(), overdue);
        }
    }

    private void WaitWhile(Func<bool> mustWait, Action<string> overdue)
    {
        var (since, last) = (Stopwatch.GetTimestamp(), _last);
        while (mustWait())
        {
            Monitor.Wait(_lock, LookMs);
            if (_last != last)
            {
                (since, last) = (Stopwatch.GetTimestamp(), _last);
            }
            if (Stopwatch.GetElapsedTime(since) > Within)
            {
                overdue($"no checkpoint was acknowledged for {Within.TotalSeconds:0} s");
                since = Stopwatch.GetTimestamp();
            }
        }
    }
}
