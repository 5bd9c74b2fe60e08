namespace Pollux.Replication.Checkpointing;

/// <summary>What makes a checkpoint. The names are those of the spec.</summary>
public enum Trigger
{
    /// <summary>Every interval (Remus, Micro-Checkpointing).</summary>
    Periodic,

    /// <summary>A frame waits and nothing is in flight: cut now (Kemari). Else every interval.</summary>
    OnOutput,

    /// <summary>
    /// On output, but not before the floor has passed since the guest resumed, and, while a busy guest goes on talking, not before it has had
    /// most of the time; early when many pages are dirty; else every interval.
    /// </summary>
    Adaptive,
}

/// <summary>When the state of a checkpoint travels.</summary>
public enum Transmission
{
    /// <summary>After the guest runs again (PMT-Checkpointing).</summary>
    Postponed,

    /// <summary>While the guest is stopped, until the standby has it: the baseline.</summary>
    Synchronous,
}

/// <summary>Settings of the trigger; may change at any time.</summary>
/// <param name="FloorMs">Adaptive: the guest's least run between two checkpoints.</param>
/// <param name="IntervalMs">The longest run between two checkpoints.</param>
/// <param name="DirtyPagesEarly">Adaptive: cut early when about this many pages are dirty.</param>
public sealed record TriggerSettings(Trigger Trigger, double FloorMs, double IntervalMs, long DirtyPagesEarly);

/// <summary>What the policy saw.</summary>
/// <param name="RunMs">How long the guest has run since it was resumed.</param>
/// <param name="HeldFrames">Frames that wait for a commit and whose epoch is still open.</param>
/// <param name="EpochsInFlight">Epochs cut but not committed.</param>
/// <param name="PagesPerMs">The dirty rate of recent epochs.</param>
/// <param name="QuietMs">For how long no further frame was held.</param>
/// <param name="PauseMs">The pause of recent checkpoints.</param>
public readonly record struct TriggerView(double RunMs, long HeldFrames, int EpochsInFlight, double PagesPerMs, double QuietMs = 0, double PauseMs = 0);

/// <summary>The policy's answer: cut now (0), look again after so many milliseconds, or leave it to QEMU's own timer (null).</summary>
public readonly record struct TriggerDecision(double? AfterMs)
{
    public bool Now => AfterMs is 0;
    public static readonly TriggerDecision CutNow = new(0);
    public static readonly TriggerDecision LeaveIt = new((double?)null);
    public static TriggerDecision Later(double ms) => ms <= 0 ? CutNow : new(ms);
}

/// <summary>When to checkpoint: one pure function of the settings and of what was seen. QEMU's own timer is the ceiling of all three.</summary>
public static class TriggerPolicy
{
    /// <summary>So many frames that wait are many clients, or much to say: their number counts, not the one that came first.</summary>
    private const int BusyFrames = 8;

    /// <summary>A busy guest that said nothing for so long waits for its clients, who wait for the commit.</summary>
    private const double QuietEnoughMs = 2;

    /// <summary>A guest that goes on talking runs for at least so many of its pauses: it has four fifths of the time.</summary>
    private const double RunPerPause = 4;

    public static TriggerDecision Decide(TriggerSettings settings, TriggerView view) => settings.Trigger switch
    {
        Trigger.OnOutput => Waits(view) ? TriggerDecision.CutNow : TriggerDecision.LeaveIt,
        Trigger.Adaptive => Adaptive(settings, view),
        _ => TriggerDecision.LeaveIt,
    };

    private static bool Waits(TriggerView view) => view is { HeldFrames: > 0, EpochsInFlight: 0 };

    private static TriggerDecision Adaptive(TriggerSettings settings, TriggerView view)
    {
        if (Waits(view))
        {
            return TriggerDecision.Later(Math.Max(settings.FloorMs - view.RunMs, GoesOnTalkingMs(settings, view)));
        }
        if (view.PagesPerMs <= 0)
        {
            return TriggerDecision.LeaveIt;
        }
        // Many dirty pages make a long pause: cut when the forecast reaches the threshold, if that is before QEMU's timer.
        var early = Math.Max(settings.FloorMs, settings.DirtyPagesEarly / view.PagesPerMs);
        return early < settings.IntervalMs ? TriggerDecision.Later(early - view.RunMs) : TriggerDecision.LeaveIt;
    }

    /// <summary>How much longer a busy guest may talk before a cut: each frame of it would else wait for a checkpoint of its own, and the guest for that.</summary>
    private static double GoesOnTalkingMs(TriggerSettings settings, TriggerView view)
    {
        var most = Math.Min(view.PauseMs * RunPerPause, settings.IntervalMs);
        return view.HeldFrames < BusyFrames ? 0 : Math.Min(most - view.RunMs, QuietEnoughMs - view.QuietMs);
    }
}
