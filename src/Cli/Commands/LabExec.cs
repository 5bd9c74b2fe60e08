using System.Diagnostics;
using System.Runtime.InteropServices;
using Pollux.Core;
using Pollux.Linux.Processes;

namespace Pollux.Cli.Commands;

/// <summary>Runs the command of <c>pollux lab exec</c> in this process's place: same terminal, same end.</summary>
internal static class LabExec
{
    /// <summary>As shells say it.</summary>
    internal const int NoSuchProgram = 127;

    private const int Terminate = 15;
    private static readonly TimeSpan ToEnd = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    /// <summary>A name without a path must be in the PATH that it will have. Of a path only the host itself knows.</summary>
    internal static bool CanRun(ProcessStartInfo start, string program) => program.Contains('/', StringComparison.Ordinal)
        || ((start.Environment["PATH"] ?? "").Split(':').Any(d => d.Length > 0 && File.Exists(Path.Combine(d, program))));

    internal static async Task<int> RunAsync(ProcessStartInfo start)
    {
        using var process = Process.Start(start) ?? throw new PolluxException($"{start.FileName} did not start");
        // The terminal's signals reach the command itself. One that is for this process alone is passed on: between it and the command stand
        // others (sh, nsenter, ip), and what runs in a host's PID namespace would outlive them.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => context.Cancel = true);
        var ending = Task.CompletedTask;
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            ending = EndAsync(process.Id);
        });
        await process.WaitForExitAsync(CancellationToken.None);
        await ending;
        return process.ExitCode;
    }

    /// <summary>Who stands between may end before the command does.</summary>
    private static async Task EndAsync(int process)
    {
        int[] all = [process, .. ProcessTree.DescendantsOf(process)];
        var begin = Stopwatch.GetTimestamp();
        foreach (var id in all)
        {
            ProcessTable.TrySignal(id, Terminate);
        }
        while (all.Any(ProcessTable.IsAlive) && Stopwatch.GetElapsedTime(begin) < ToEnd)
        {
            await Task.Delay(LookEvery);
        }
        foreach (var id in all.Where(ProcessTable.IsAlive))
        {
            ProcessTable.TrySignal(id, ProcessTable.Kill);
        }
    }
}
