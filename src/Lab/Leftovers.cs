using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;
using Pollux.Lab.Network;

namespace Pollux.Lab;

/// <summary>What exists of a lab, found by its names alone: what <c>down</c> removes, and what must be empty after it.</summary>
public static class Leftovers
{
    private static readonly TimeSpan KillDeadline = TimeSpan.FromSeconds(10);

    /// <summary>A line for each thing of the lab that exists on this machine.</summary>
    public static IReadOnlyList<string> Find(LabName lab) =>
    [
        .. lab.Cgroup.Processes().Select(p => $"process {p} ({Linux.Processes.ProcessTable.NameOf(p) ?? "ended"})"),
        .. lab.Cgroup.Exists ? [$"cgroup {lab.Cgroup.Path}"] : Array.Empty<string>(),
        .. LabNetwork.FindNamespaces(lab).Select(n => $"network namespace {n}"),
        .. MountsOf(lab).Select(m => $"mount {m}"),
        .. Directory.Exists(lab.StateDirectory) ? [$"directory {lab.StateDirectory}"] : Array.Empty<string>(),
    ];

    /// <summary>Kills and removes all of it. Nothing to do is no error.</summary>
    internal static async Task RemoveAsync(LabName lab, CancellationToken cancellation)
    {
        if (lab.Cgroup.Exists)
        {
            lab.Cgroup.Kill();
            await Polling.UntilAsync(() => !lab.Cgroup.IsPopulated, KillDeadline,
                () => $"processes of lab '{lab}' do not end: {string.Join(", ", lab.Cgroup.Processes())}", cancellation).ConfigureAwait(false);
        }
        foreach (var name in LabNetwork.FindNamespaces(lab))
        {
            // The switch goes too, and with it both ends of every cable.
            await Tool.IpAsync(null, $"netns del {name}", cancellation).ConfigureAwait(false);
        }
        await Polling.UntilAsync(lab.Cgroup.TryRemove, KillDeadline, () => $"cgroup {lab.Cgroup.Path} cannot be removed", cancellation).ConfigureAwait(false);
        foreach (var mount in MountsOf(lab).Reverse())
        {
            (await Tool.RunAsync("umount", ["-l", mount], cancellation: cancellation).ConfigureAwait(false)).Checked($"umount {mount}");
        }
        if (Directory.Exists(lab.StateDirectory))
        {
            Directory.Delete(lab.StateDirectory, recursive: true);
        }
        RemoveIfEmpty(Path.GetDirectoryName(lab.StateDirectory)!);
        RemoveIfEmpty(Path.GetDirectoryName(lab.Cgroup.Path)!);
    }

    private static IEnumerable<string> MountsOf(LabName lab) => File.ReadLines("/proc/mounts").Select(l => l.Split(' ')[1])
        .Where(m => m == lab.StateDirectory || m.StartsWith(lab.StateDirectory + "/", StringComparison.Ordinal)).ToList();

    /// <summary>The roof over all labs goes with the last of them.</summary>
    private static void RemoveIfEmpty(string directory)
    {
        try
        {
            Directory.Delete(directory);
        }
        catch (IOException)
        {
            // Another lab lives there, or it is gone.
        }
    }
}
