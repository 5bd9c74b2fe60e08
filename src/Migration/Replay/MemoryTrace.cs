namespace Pollux.Migration.Replay;

/// <summary>
/// Which memory a guest wrote, and when: what a replay needs of it. Recorded from a real guest (QEMU's dirty log, or the stream of a migration) or made up
/// in a test. A trace is played in a loop: its end is followed by its beginning.
/// </summary>
/// <param name="Guest">What ran in it: idle, redis, rewrite-1.2x, phases, …</param>
/// <param name="Source">Where it is from, in words: recorded (how, when, QEMU) or synthetic.</param>
/// <param name="StepMs">How long each step lasts, guest running unharmed.</param>
/// <param name="Groups">Of <see cref="Policies.PageGroups.Bytes"/>; the RAM of the guest.</param>
/// <param name="UsedPages">By group: pages that are not all zero, hence travel whole. Others take nine bytes.</param>
/// <param name="Steps">In each, which groups were written, and how many pages of them.</param>
public sealed record MemoryTrace(string Guest, string Source, double StepMs, int Groups, IReadOnlyList<int> UsedPages, IReadOnlyList<TraceStep> Steps)
{
    /// <summary>Of four kilobytes, in a group.</summary>
    public const int PagesPerGroup = Policies.PageGroups.Bytes / Policies.DirtyLooks.PageBytes;

    public long RamBytes => (long)Groups * Policies.PageGroups.Bytes;

    public double LengthMs => Steps.Count * StepMs;
}

/// <summary>What was written in one step.</summary>
/// <param name="Written">Groups in ascending order, each at most once, with at least one page.</param>
public sealed record TraceStep(IReadOnlyList<WrittenGroup> Written);

/// <param name="Group">Its number, from address 0.</param>
/// <param name="Pages">Different pages of it that were written: 1 to 256.</param>
/// <param name="FirstPage">
/// Of a run of neighbours, where it began (it wraps round within the group); null: anywhere in the group, chosen anew each time.
/// A recorder that sees single pages gives it when they are neighbours.
/// </param>
public readonly record struct WrittenGroup(int Group, int Pages, int? FirstPage);
