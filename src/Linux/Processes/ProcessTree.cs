using System.Globalization;

namespace Pollux.Linux.Processes;

/// <summary>Processes and what they started, as /proc shows it from here; also those in PID namespaces below.</summary>
public static class ProcessTree
{
    /// <summary>All that a process has started and what these have, but not itself. A process whose parent has ended is nobody's.</summary>
    public static IReadOnlyList<int> DescendantsOf(int processId)
    {
        var parents = new Dictionary<int, int>();
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out var id) && ProcessTable.ParentOf(id) is { } parent)
            {
                parents[id] = parent;
            }
        }
        var found = new List<int>();
        var front = new HashSet<int> { processId };
        while (front.Count > 0)
        {
            front = [.. parents.Where(p => front.Contains(p.Value)).Select(p => p.Key)];
            found.AddRange(front);
        }
        return found;
    }
}
