using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Pollux.Core;
using Pollux.Linux.Io;

namespace Pollux.Lab.Faults;

/// <summary>
/// The socket through which a QEMU hands its checkpoints to its keeper, found from outside: it bears the name of the file that the keeper
/// listened on (<c>/proc/PID/net/unix</c>), though the file is long gone.
/// </summary>
internal static class CheckpointSocket
{
    private const string FileName = "colo.sock";
    private const string Connected = "03"; // SS_CONNECTED, linux/net.h
    private const int StateColumn = 5;
    private const int InodeColumn = 6;

    /// <exception cref="PolluxException">The keeper takes no checkpoints.</exception>
    internal static SafeFileHandle Open(int keeper, VmName vm, string host)
    {
        var links = File.ReadLines($"/proc/{keeper}/net/unix").Skip(1)
            .Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(w => w.Length > InodeColumn + 1 && w[StateColumn] == Connected && w[^1].EndsWith($"/vms/{vm}/{FileName}", StringComparison.Ordinal))
            .Select(w => $"socket:[{w[InodeColumn]}]").ToHashSet();
        using var process = ProcessHandle.TryOpen(keeper);
        var descriptor = new DirectoryInfo($"/proc/{keeper}/fd").EnumerateFileSystemInfos().FirstOrDefault(f => f.LinkTarget is { } target && links.Contains(target));
        return (descriptor is null ? null : process?.TryCopyDescriptor(int.Parse(descriptor.Name, CultureInfo.InvariantCulture)))
            ?? throw new PolluxException($"the keeper of {vm} on {host} takes no checkpoints", "strike the host where the VM runs protected");
    }
}
