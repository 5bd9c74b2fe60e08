namespace Pollux.Migration.Policies.Mp;

/// <summary>Which page groups the guest writes again and again, as seen by what had to be sent again. Pure.</summary>
/// <param name="HotGroups">Groups of which at least half had to be sent again in the last whole iteration after the first.</param>
/// <param name="HotBytes">What of them had to be sent again in it.</param>
/// <param name="HotSentBytes">Of what was sent since QEMU's last look, what lies in hot groups: probably dirty again.</param>
internal sealed record PagePattern(int HotGroups, long HotBytes, long HotSentBytes)
{
    private const double HotShare = 0.5;
    private const int PagesPerGroup = PageGroups.Bytes / DirtyLooks.PageBytes;
    private static readonly PagePattern Unknown = new(0, 0, 0);

    public static PagePattern Of(IReadOnlyList<MigrationSample> samples)
    {
        var now = samples[^1].Iteration;
        // Groups at the end of the last two iterations that ended; samples in between may lack them.
        var (latest, atLook, before) = (LastGroups(samples, now), LastGroups(samples, now - 1), LastGroups(samples, now - 2));
        if (atLook is null || before is null || atLook.Count != before.Count)
        {
            return Unknown;
        }
        var (groups, hot, hotSent) = (0, 0L, 0L);
        for (var g = 0; g < atLook.Count; g++)
        {
            var again = atLook[g].ResentPages - before[g].ResentPages;
            if (again >= HotShare * PagesPerGroup)
            {
                groups++;
                hot += again;
                hotSent += latest is not null && latest.Count == atLook.Count ? latest[g].SentPages - atLook[g].SentPages : 0;
            }
        }
        return new PagePattern(groups, hot * DirtyLooks.PageBytes, hotSent * DirtyLooks.PageBytes);
    }

    private static IReadOnlyList<GroupSample>? LastGroups(IReadOnlyList<MigrationSample> samples, long iteration)
    {
        for (var i = samples.Count - 1; i >= 0 && samples[i].Iteration >= iteration; i--)
        {
            if (samples[i].Iteration == iteration && samples[i].Groups is { } groups)
            {
                return groups;
            }
        }
        return null;
    }
}
