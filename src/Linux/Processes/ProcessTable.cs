using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Pollux.Linux.Io;

namespace Pollux.Linux.Processes;

/// <summary>
/// What /proc says of processes, and signals to them. Every question about a process that is gone gives null or false; one that cannot be answered (no
/// descriptor left to look with) throws <see cref="IOException"/> (or <see cref="UnauthorizedAccessException"/>), since who cannot look knows of nobody's death.
/// </summary>
public static partial class ProcessTable
{
    public const int Kill = 9;

    /// <summary>The process's id in its own innermost PID namespace (1: it is that namespace's init).</summary>
    public static int? InnermostId(int processId) =>
        Read(processId, "status")?.Split('\n').FirstOrDefault(l => l.StartsWith("NSpid:", StringComparison.Ordinal))?.Split('\t') is { Length: > 1 } ids
            ? int.Parse(ids[^1], CultureInfo.InvariantCulture)
            : null;

    /// <summary>The executable's name, cut at 15 bytes.</summary>
    public static string? NameOf(int processId) => Read(processId, "comm")?.TrimEnd('\n');

    /// <summary>The arguments, the program first; empty for a zombie.</summary>
    public static IReadOnlyList<string>? ArgumentsOf(int processId) =>
        Read(processId, "cmdline")?.Split('\0', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Whether an argument of it contains this.</summary>
    public static bool Mentions(int processId, string text) => Read(processId, "cmdline")?.Contains(text, StringComparison.Ordinal) == true;

    /// <summary>All of this namespace, of which an argument contains this.</summary>
    public static IReadOnlyList<int> FindMentioning(string text) =>
    [
        .. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(n => char.IsAsciiDigit(n![0])).Select(n => int.Parse(n!, CultureInfo.InvariantCulture))
            .Where(id => id != Environment.ProcessId && Mentions(id, text)),
    ];

    /// <summary>False when it is gone or a zombie.</summary>
    public static bool IsAlive(int processId) => Read(processId, "stat") is { } stat && stat[(stat.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X');

    /// <summary>
    /// It is gone, or on its way: a process that is being killed loses its memory, and with it its arguments, before the kernel tells its exit.
    /// False when that cannot be known.
    /// </summary>
    public static bool HasLostItsMemory(int processId)
    {
        try
        {
            return Read(processId, "cmdline") is null or "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    public static int? ParentOf(int processId) =>
        Read(processId, "stat") is { } stat ? int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture) : null;

    /// <summary>False when there is no such process.</summary>
    public static bool TrySignal(int processId, int signal) => kill(processId, signal) == 0;

    private static string? Read(int processId, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{processId}/{file}", Encoding.Latin1);
        }
        catch (IOException e) when (e is FileNotFoundException or DirectoryNotFoundException || e.HResult == Errno.NoSuchProcess)
        {
            return null;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int processId, int signal);
}
