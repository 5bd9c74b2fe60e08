namespace Pollux.Migration.Policies.Mp;

/// <summary>
/// QEMU's first round goes through the RAM in the order of addresses, whatever it finds in the dirty log meanwhile. So what is left, if it ends early, is what lies behind where it
/// will be, and of what lies before that, what was written since the beginning. Bytes; pure.
/// </summary>
internal sealed class FirstRound
{
    /// <summary>Of <see cref="Watching.RamSampler"/>.</summary>
    private const int SampledPages = 4096;

    /// <summary>Where the memory that is written waits, what is written next is in it as a rule; this share is feared to be elsewhere.</summary>
    private const double StrayShare = 0.25;

    private readonly long _ramBytes;

    /// <param name="ram">With what was written, by slice.</param>
    /// <param name="neverSent">Never sent now.</param>
    /// <param name="sentInLead">Sent until an order takes effect, at least.</param>
    public FirstRound(long ramBytes, WriteCurve curve, MigrationSample now, RamSight ram, double neverSent, double sentInLead)
    {
        _ramBytes = ramBytes;
        var slices = ram.WrittenBySlice!;
        var position = ((double)(now.SentPages - now.ResentPages) * DirtyLooks.PageBytes) + sentInLead;
        Dirty = Before(slices, position, Sent(now, position, slices.Count));
        // A guest that goes over its memory in order may come from behind this place to before it at any time: all that is fresh may lie there.
        var fresh = Math.Max(0, curve.Within(now.AtMs + MigrationForecast.LeadMs) - curve.Within(ram.SinceBeginMs));
        var before = Before(slices, position, _ => 1);
        var stray = now.PostponedBytes == 0 || before <= 0 ? 1 : Math.Max(StrayShare, Dirty / before);
        Left = Math.Max(0, neverSent - sentInLead) + now.PostponedBytes + Dirty + (stray * fresh) + DirtyError;
    }

    /// <summary>Written since the beginning, before where QEMU will be when an order takes effect; does not wait.</summary>
    public double Dirty { get; }

    /// <summary>Twice the standard error of <see cref="Dirty"/>, which is a sample's.</summary>
    public double DirtyError
    {
        get
        {
            var share = Math.Clamp(Dirty / Math.Max(1, _ramBytes), 0, 1);
            return 2 * Math.Sqrt(share * (1 - share) / SampledPages) * _ramBytes;
        }
    }

    /// <summary>What is to be sent if the guest is stopped when an order takes effect.</summary>
    public double Left { get; }

    /// <summary>By slice, the share of what QEMU will have passed that was sent and does not wait.</summary>
    private Func<int, double> Sent(MigrationSample now, double position, int slices)
    {
        var sliceBytes = (double)_ramBytes / slices;
        return s =>
        {
            var passed = Math.Clamp(position - (s * sliceBytes), 0, sliceBytes);
            return now.PostponedBySlice is { } postponed && passed > 0 ? 1 - Math.Clamp((double)postponed[s] * DirtyLooks.PageBytes / passed, 0, 1) : 1;
        };
    }

    /// <summary>Of what was written by slice, what lies before an address, and of it the share that counts.</summary>
    private double Before(IReadOnlyList<double> slices, double position, Func<int, double> share) =>
        slices.Select((bytes, s) => Math.Clamp((position * slices.Count / Math.Max(1, _ramBytes)) - s, 0, 1) * bytes * share(s)).Sum();
}
