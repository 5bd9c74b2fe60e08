namespace Pollux.Cluster.Events;

/// <summary>One story out of what several hosts tell.</summary>
public static class EventMerge
{
    /// <summary>Within this, hosts that say the same mean the same: each sees for itself that a host has gone.</summary>
    private static readonly TimeSpan SameStory = TimeSpan.FromSeconds(10);

    /// <summary>Oldest first. What several hosts say in the same words at about the same time is kept once, as first told.</summary>
    public static IReadOnlyList<ClusterEvent> Merge(IEnumerable<IReadOnlyList<ClusterEvent>> tellings)
    {
        var told = new Dictionary<(Core.VmName?, string, string), ClusterEvent>();
        var story = new List<ClusterEvent>();
        foreach (var e in tellings.SelectMany(t => t).OrderBy(e => e.Time).ThenBy(e => e.Host.Value, StringComparer.Ordinal))
        {
            var words = (e.Vm, e.Kind, e.Text);
            if (told.TryGetValue(words, out var earlier) && earlier.Host != e.Host && e.Time - earlier.Time < SameStory)
            {
                continue;
            }
            told[words] = e;
            story.Add(e);
        }
        return story;
    }
}
