using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Bench;

/// <summary>Where, when and with what a benchmark ran; figures of different machines do not compare.</summary>
/// <param name="LoadBefore">The load average of one minute when it began.</param>
/// <param name="Commit">Of the checkout; with + when files differ from it.</param>
public sealed record BenchHost(string Cpu, int Processors, long MemoryMiB, string Kernel, string Runtime, double LoadBefore, DateTimeOffset At, string Commit)
{
    public static BenchHost Here()
    {
        static string Field(string file, string name) =>
            File.ReadLines(file).FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown";
        var memory = long.Parse(Field("/proc/meminfo", "MemTotal").Split(' ')[0], CultureInfo.InvariantCulture) >> 10;
        return new BenchHost(
            Field("/proc/cpuinfo", "model name"), Environment.ProcessorCount, memory, File.ReadAllText("/proc/sys/kernel/osrelease").Trim(),
            RuntimeInformation.FrameworkDescription, LoadNow(), TimeProvider.System.GetUtcNow(), CommitOf(LabPrograms.Find().Root));
    }

    public static double LoadNow() => double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Processors} × {Cpu}, {MemoryMiB} MiB, Linux {Kernel}, {Runtime}, {At:yyyy-MM-dd HH:mm} UTC, commit {Commit}, load before {LoadBefore:0.##}");

    private static string CommitOf(string checkout)
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["-C", checkout, "describe", "--always", "--exclude=*", "--abbrev=9", "--dirty=+"])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
            var said = git.StandardOutput.ReadToEnd().Trim();
            return git.WaitForExit(TimeSpan.FromSeconds(5)) && said.Length > 0 ? said : "unknown";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "unknown";
        }
    }
}
