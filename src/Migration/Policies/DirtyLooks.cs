namespace Pollux.Migration.Policies;

/// <summary>QEMU read the dirty log: only then does it learn what the guest wrote.</summary>
/// <param name="AtMs">Of the first sample after it.</param>
/// <param name="Iteration">That began with it.</param>
/// <param name="WindowMs">Since the look before; since the beginning for the first.</param>
/// <param name="SentBytes">Through the relay until then.</param>
/// <param name="RestBytes">What remained after it.</param>
/// <param name="FreshBytes">What it added: written by the guest in the window, and clean in QEMU's eyes until then.</param>
public readonly record struct DirtyLook(double AtMs, long Iteration, double WindowMs, long SentBytes, long RestBytes, long FreshBytes);

/// <summary>Finds the looks in samples that were taken beside them. Pure.</summary>
public static class DirtyLooks
{
    public const int PageBytes = 4096;

    /// <summary>In order of time. Looks between the same two samples count as one.</summary>
    public static IReadOnlyList<DirtyLook> In(IReadOnlyList<MigrationSample> samples)
    {
        var looks = new List<DirtyLook>();
        var lastMs = 0.0;
        for (var i = 1; i < samples.Count; i++)
        {
            var (before, after) = (samples[i - 1], samples[i]);
            if (after.Iteration <= before.Iteration)
            {
                continue;
            }
            // What went out between the samples has left QEMU's count too.
            var sent = Math.Max(0, after.SentPages - before.SentPages) * PageBytes;
            looks.Add(new DirtyLook(
                after.AtMs, after.Iteration, Math.Max(1, after.AtMs - lastMs), after.SentBytes, after.RemainingBytes, Math.Max(0, after.RemainingBytes - before.RemainingBytes + sent)));
            lastMs = after.AtMs;
        }
        return looks;
    }
}
