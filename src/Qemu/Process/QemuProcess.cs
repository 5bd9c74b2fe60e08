using System.Diagnostics;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Linux.Processes;

namespace Pollux.Qemu.Process;

/// <summary>How to start a QEMU.</summary>
/// <param name="Cgroup">A cgroup2 directory that it joins before its first instruction; null: stay in the keeper's.</param>
/// <param name="Preload">A library to preload (native/tcg-shim.c), or null.</param>
/// <param name="Log">Where its output goes.</param>
public sealed record QemuLaunch(string Binary, IReadOnlyList<string> Arguments, string? Cgroup, string? Preload, string Log);

/// <summary>
/// A QEMU process, started here or adopted. It is in a session of its own and lives on when its keeper dies: an orphan can emit nothing,
/// since its network went through the keeper.
/// </summary>
public sealed class QemuProcess : IDisposable
{
    private const int RefusalLines = 3;
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(10);
    private readonly ProcessHandle _handle;
    private readonly string _log;
    private readonly TaskCompletionSource<string> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private QemuProcess(ProcessHandle handle, string log)
    {
        (_handle, _log) = (handle, log);
        new Thread(Watch) { IsBackground = true, Name = "qemu watch" }.Start();
    }

    public int Pid => _handle.Pid;

    /// <summary>Completes with the reason when the process is gone: its last words, if it had any.</summary>
    public Task<string> Exited => _exited.Task;

    /// <summary>Gone, or being killed though the kernel has not told its exit yet. False when that cannot be known.</summary>
    public bool IsDying => Exited.IsCompleted || ProcessTable.HasLostItsMemory(Pid);

    public static QemuProcess Start(QemuLaunch launch)
    {
        // The shell joins the cgroup, detaches and becomes QEMU: there is no moment in which QEMU is elsewhere.
        const string script = """
            [ -z "$1" ] || echo $$ > "$1/cgroup.procs" || exit 125
            [ -z "$2" ] || export LD_PRELOAD="$2"
            log=$3; shift 3
            # The keeper's own priority is not the guest's.
            renice -n 0 -p $$ > /dev/null 2>&1
            exec setsid "$@" </dev/null >>"$log" 2>&1
            """;
        var start = new ProcessStartInfo("/bin/sh") { UseShellExecute = false };
        foreach (var argument in (string[])["-c", script, "qemu", launch.Cgroup ?? "", launch.Preload ?? "", launch.Log, launch.Binary, .. launch.Arguments])
        {
            start.ArgumentList.Add(argument);
        }
        File.WriteAllText(launch.Log, "");
        var process = System.Diagnostics.Process.Start(start) ?? throw new PolluxException($"{launch.Binary} cannot be started");
        try
        {
            var handle = ProcessHandle.TryOpen(process.Id)
                ?? throw new PolluxException($"{launch.Binary} ended at once: {LastWords(launch.Log)}", $"see {launch.Log}");
            return new QemuProcess(handle, launch.Log);
        }
        catch
        {
            // Nobody would know of it.
            process.Kill();
            throw;
        }
    }

    /// <summary>Takes charge of a QEMU that another keeper started; null when it is gone.</summary>
    public static QemuProcess? TryAdopt(int pid, string log) =>
        ProcessHandle.TryOpen(pid) is { } handle ? new QemuProcess(handle, log) : null;

    /// <summary>Ends it at once. No error when it has ended.</summary>
    public void Kill() => _handle.Kill();

    /// <summary>Ends it and waits until it is gone, so that its memory and files are free.</summary>
    public async Task KillAsync(TimeSpan within)
    {
        Kill();
        await Exited.WaitAsync(within).ConfigureAwait(false);
    }

    public void Dispose() => _handle.Dispose();

    private void Watch()
    {
        try
        {
            _handle.WaitForExit(-1);
        }
        catch (ObjectDisposedException)
        {
            // Nobody cares any more.
        }
        _exited.TrySetResult(Reason());
    }

    /// <summary>Why it ended, as far as it said so. A complaint of long before, or one that it went on after, is no reason.</summary>
    private string Reason()
    {
        if (LastWords(_log) is not { Length: > 0 } words)
        {
            return "QEMU ended without a word";
        }
        try
        {
            var age = DateTime.UtcNow - File.GetLastWriteTimeUtc(_log);
            return age < Fresh && !IsWarning(File.ReadLines(_log).Last(line => line.Length > 0)) ? $"QEMU ended: {words}" : $"QEMU ended without a word; the last complaint in its log is of before: {words}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return $"QEMU ended: {words}";
        }
    }

    private static bool IsWarning(string line) => line.Contains("warning:", StringComparison.Ordinal);

    private static string LastWords(string log)
    {
        try
        {
            var lines = File.ReadLines(log).Where(line => line.Length > 0 && !IsWarning(line)).ToList();
            // An error of QEMU begins with its name; advice may follow it.
            var errors = lines.FindAll(line => line.StartsWith("qemu", StringComparison.Ordinal));
            // That a state was refused is said last; what was wrong with it, before.
            return errors.LastOrDefault()?.Contains("load of migration failed", StringComparison.Ordinal) == true
                ? string.Join("; ", errors.TakeLast(RefusalLines))
                : errors.LastOrDefault() ?? lines.LastOrDefault() ?? "";
        }
        catch (IOException)
        {
            return "";
        }
    }
}
