using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Pollux.Linux.Processes;

/// <summary>What /proc says of processes, and signals to them. Every question about a process that is gone gives null or false.</summary>
public static partial class ProcessTable
{
    public const int Kill = 9;
    private const int NoSuchProcess = 3; // ESRCH

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

    /// <summary>False when it is gone or a zombie.</summary>
    public static bool IsAlive(int processId) => Read(processId, "stat") is { } stat && stat[(stat.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X');

    /// <summary>
    /// It is gone, or on its way: a process that is being killed loses its memory, and with it its arguments, before the kernel tells its exit.
    /// False when that cannot be known (no descriptor left to look with): who does not know does not call it dead.
    /// </summary>
    public static bool HasLostItsMemory(int processId)
    {
        try
        {
            return File.ReadAllBytes($"/proc/{processId}/cmdline").Length == 0;
        }
        catch (IOException e)
        {
            return e is FileNotFoundException or DirectoryNotFoundException || e.HResult == NoSuchProcess;
        }
        catch (UnauthorizedAccessException)
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
        catch (IOException)
        {
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int processId, int signal);
}
