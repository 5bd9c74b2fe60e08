using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Pollux.Core;

namespace Pollux.Linux.Cgroups;

/// <summary>
/// A group of the cgroup2 hierarchy, wherever that is mounted: processes that are killed or frozen as one
/// (kernel documentation, admin-guide/cgroup-v2).
/// </summary>
public sealed class ControlGroup
{
    private const string Events = "cgroup.events";

    public ControlGroup(string path) => Path = path;

    /// <summary>An absolute directory below <see cref="Mount"/>.</summary>
    public string Path { get; }

    public bool Exists => Directory.Exists(Path);

    /// <summary>True when the whole subtree has stopped running.</summary>
    public bool IsFrozen => EventOf("frozen") == 1;

    /// <summary>True while any process, a zombie not counted, is in the subtree.</summary>
    public bool IsPopulated => EventOf("populated") == 1;

    /// <summary>Where cgroup2 is mounted, alone or beside the old hierarchies.</summary>
    /// <exception cref="PolluxException">It is not mounted, or its kernel has no cgroup.kill (Linux before 5.14).</exception>
    public static string Mount { get; } = FindMount();

    public ControlGroup Child(string name) => new(System.IO.Path.Combine(Path, name));

    public ControlGroup Create()
    {
        Directory.CreateDirectory(Path);
        return this;
    }

    /// <summary>Moves a process (all its threads) here. What it starts later begins here too.</summary>
    public void Add(int processId) =>
        File.WriteAllText(System.IO.Path.Combine(Path, "cgroup.procs"), processId.ToString(CultureInfo.InvariantCulture));

    /// <summary>SIGKILL to every process of the subtree, frozen ones included, at once.</summary>
    public void Kill() => Write("cgroup.kill", "1");

    /// <summary>What all processes of the subtree have used of processors since the group was made.</summary>
    public TimeSpan CpuTime() => TimeSpan.FromMicroseconds(long.Parse(
        File.ReadLines(System.IO.Path.Combine(Path, "cpu.stat")).First(l => l.StartsWith("usage_usec ", StringComparison.Ordinal)).Split(' ')[1], CultureInfo.InvariantCulture));

    /// <summary>Asks for the freeze; <see cref="IsFrozen"/> says when the last task has stopped.</summary>
    public void Freeze() => Write("cgroup.freeze", "1");

    public void Thaw() => Write("cgroup.freeze", "0");

    /// <summary>Opens a control file so that a later one-byte write acts within microseconds.</summary>
    public SafeFileHandle OpenControl(string name) =>
        File.OpenHandle(System.IO.Path.Combine(Path, name), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);

    /// <summary>Process ids in the subtree, as the reader's PID namespace numbers them. Empty when the group is gone.</summary>
    public IReadOnlyList<int> Processes()
    {
        var found = new List<int>();
        foreach (var group in Subtree())
        {
            try
            {
                found.AddRange(File.ReadLines(System.IO.Path.Combine(group, "cgroup.procs")).Select(l => int.Parse(l, CultureInfo.InvariantCulture)));
            }
            catch (Exception e) when (e is IOException)
            {
                // Removed while we looked: it had no process.
            }
        }
        return found;
    }

    /// <summary>Removes the subtree, deepest first. False while a process is left in it.</summary>
    public bool TryRemove()
    {
        foreach (var group in Subtree().Reverse())
        {
            try
            {
                Directory.Delete(group);
            }
            catch (DirectoryNotFoundException)
            {
                // Somebody else removed it, as we wanted.
            }
            catch (IOException)
            {
                return false;
            }
        }
        return true;
    }

    private static string FindMount()
    {
        var line = File.ReadLines("/proc/mounts").Select(l => l.Split(' ')).FirstOrDefault(f => f[2] == "cgroup2")
            ?? throw new PolluxException("cgroup2 is not mounted", "mount -t cgroup2 none /sys/fs/cgroup");
        return line[1];
    }

    /// <summary>Parents before children.</summary>
    private IEnumerable<string> Subtree()
    {
        if (!Directory.Exists(Path))
        {
            return [];
        }
        try
        {
            return [Path, .. Directory.GetDirectories(Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    private int EventOf(string key)
    {
        try
        {
            return File.ReadLines(System.IO.Path.Combine(Path, Events)).Select(l => l.Split(' ')).Where(f => f[0] == key)
                .Select(f => int.Parse(f[1], CultureInfo.InvariantCulture)).FirstOrDefault();
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private void Write(string file, string value)
    {
        try
        {
            File.WriteAllText(System.IO.Path.Combine(Path, file), value);
        }
        catch (IOException e)
        {
            throw new PolluxException($"{file} of cgroup {Path} cannot be written: {e.Message}", "a kernel of version 5.14 or newer is needed", e);
        }
    }
}
