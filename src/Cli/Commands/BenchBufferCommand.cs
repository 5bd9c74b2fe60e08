using System.CommandLine;
using System.Text.Json;
using Pollux.Cli.Output;
using Pollux.Lab.Bench;
using Spectre.Console;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux bench buffer</c>: the adaptive buffer over a load that rises and falls.</summary>
internal static class BenchBufferCommand
{
    private const double MiB = 1 << 20;

    internal static Command Create(Option<string?> json)
    {
        var directory = new Option<string?>("--out") { Description = "write buffer.md, buffer.json and buffer.svg into this directory", HelpName = "directory" };
        return new Command("buffer", "The keeper's buffers while what a guest writes rises and falls, in 45 seconds") { directory, json }
            .WithExamples("pollux bench buffer", "pollux bench buffer --out docs/benchmarks")
            .Does(invocation => BenchCommand.InLabAsync(invocation, invocation.Get(directory), async lab =>
            {
                var report = await BufferBench.RunAsync(lab, new ProgressLines(invocation), invocation.Cancellation);
                if (invocation.Get(directory) is { } into)
                {
                    await ReportDirectory.WriteAsync(into,
                    [
                        ("buffer.json", JsonSerializer.Serialize(report, BenchJson.Default.BufferReport) + "\n"),
                        (BufferBench.Plot, BufferBench.PlotOf(report)), ("buffer.md", BufferBench.PageOf(report)),
                    ], invocation.Cancellation);
                }
                await BenchCommand.WriteAsync(invocation, json, report, BenchJson.Default.BufferReport, Write);
            }));
    }

    private static void Write(IAnsiConsole console, BufferReport report)
    {
        console.WriteLine($"{report.Host}, QEMU {report.QemuVersion} ({report.Accelerator})");
        var table = new Table().Border(TableBorder.Simple).AddColumns("dirty MB/s", "interval", "pause", "captured MB/s", "used at most", "target", "allocated");
        foreach (var step in BufferBench.StepsOf(report))
        {
            table.AddRow(
                N(step.DirtyMBPerSecond), $"{N(step.IntervalMs)} ms", $"{N(step.PauseMs)} ms", N(step.CapturedMBPerSecond),
                $"{N(step.PeakBytes / MiB)} MiB", $"{N(step.TargetBytes / MiB)} MiB", $"{N(step.AllocatedBytes / MiB)} MiB");
        }
        console.Write(table);
    }
}
