using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab;
using Pollux.Lab.Bench;
using Pollux.Lab.Layout;
using Pollux.Lab.Load;
using Pollux.Qemu.Spec;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux bench …</c>: figures beside the budgets that the design sets, compared in one run.</summary>
internal static class BenchCommand
{
    private const double PauseBudget = 1.25;
    private const double ResumeBudgetMs = 20;
    private const double AddedRoundTripBudgetMs = 5;
    private static readonly Option<string?> Json = new("--json") { Description = "write what was measured to this file", HelpName = "file" };

    internal static Command Create() => new("bench", "Measure this machine. Needs root; load on the machine spoils the figures.")
    {
        Checkpoint(), Takeover(), RoundTrip(), Shipping(), Clock(), BenchModesCommand.Create(Json), BenchBufferCommand.Create(Json), BenchMigrationCommand.Create(Json),
    };

    private static Command Checkpoint()
    {
        var pages = new Option<string>("--pages") { Description = "dirty pages, a list", DefaultValueFactory = _ => "100,300,1000,3000,10000,30000" };
        var seconds = new Option<double>("--seconds") { Description = "length of one turn; each side has two for each number of pages", DefaultValueFactory = _ => 3 };
        var interval = new Option<int>("--interval") { Description = "between two checkpoints, ms", DefaultValueFactory = _ => 50 };
        var accel = new Option<string>("--accel") { Description = "kvm or tcg", DefaultValueFactory = _ => "kvm" };
        accel.AcceptOnlyFromAmong("kvm", "tcg");
        var qemu = new Option<string>("--qemu") { Description = "the QEMU", DefaultValueFactory = _ => "qemu-system-x86_64" };
        return new Command("checkpoint", "A guest's pause against a C program that answers QEMU at once and throws the pages away") { pages, seconds, interval, accel, qemu, Json }
            .WithExamples("pollux bench checkpoint", "pollux bench checkpoint --pages 1000 --seconds 10 --json pause.json")
            .Does(async invocation =>
            {
                var settings = new CheckpointBenchSettings(
                    Numbers(invocation.Get(pages)!, 1, 60_000), TimeSpan.FromSeconds(invocation.Get(seconds)), 2, invocation.Get(interval),
                    invocation.Get(accel) == "kvm" ? Accelerator.Kvm : Accelerator.Tcg, invocation.Get(qemu)!);
                var report = await CheckpointBench.RunAsync(settings, new ProgressLines(invocation), invocation.Cancellation);
                await WriteAsync(invocation, report, BenchJson.Default.CheckpointReport, Write);
            });
    }

    private static Command Takeover()
    {
        var memory = new Option<string>("--memory") { Description = "the guest's RAM in MiB, a list", DefaultValueFactory = _ => "256,1024,4096" };
        var rounds = new Option<int>("--rounds") { Description = "takeovers of each", DefaultValueFactory = _ => 3 };
        return new Command("takeover", "Takeovers by the guest's RAM, each in a keeper that never took over before") { memory, rounds, Json }
            .WithExamples("pollux bench takeover", "pollux bench takeover --memory 256 --rounds 20 --json takeover.json")
            .Does(invocation => InLabAsync(invocation, async lab =>
            {
                var report = await LabBench.TakeoverAsync(
                    lab, Numbers(invocation.Get(memory)!, 64, 16_384), invocation.Get(rounds), new ProgressLines(invocation), invocation.Cancellation);
                await WriteAsync(invocation, report, BenchJson.Default.TakeoverReport, Write);
            }));
    }

    private static Command RoundTrip()
    {
        var seconds = new Option<double>("--seconds") { Description = "for each trigger", DefaultValueFactory = _ => 5 };
        return new Command("roundtrip", "What protection adds to a client's round trip, by trigger") { seconds, Json }
            .WithExamples("pollux bench roundtrip", "pollux bench roundtrip --seconds 20 --json roundtrip.json")
            .Does(invocation => InLabAsync(invocation, async lab =>
            {
                var report = await LabBench.RoundTripAsync(
                    lab, TimeSpan.FromSeconds(invocation.Get(seconds)), new ProgressLines(invocation), invocation.Cancellation);
                await WriteAsync(invocation, report, BenchJson.Default.RoundTripReport, Write);
            }));
    }

    private static Command Shipping()
    {
        var seconds = new Option<double>("--seconds") { Description = "for each row, after four seconds of warming up", DefaultValueFactory = _ => 5 };
        var mbit = new Option<string>("--mbit") { Description = "rates of the link on which compression is compared, beside an unlimited one; a list", DefaultValueFactory = _ => "1000,100" };
        return new Command("shipping", "What is on the link of what was captured: dirty pages against their changes, compressed and not") { seconds, mbit, Json }
            .WithExamples("pollux bench shipping", "pollux bench shipping --seconds 20 --mbit 2500,100,20 --json shipping.json")
            .Does(invocation => InLabAsync(invocation, async lab =>
            {
                var report = await ShippingBench.RunAsync(
                    lab, TimeSpan.FromSeconds(invocation.Get(seconds)), Numbers(invocation.Get(mbit)!, 1, 10_000), new ProgressLines(invocation), invocation.Cancellation);
                await WriteAsync(invocation, report, BenchJson.Default.ShippingReport, ShippingTables.Write);
            }));
    }

    private static Command Clock()
    {
        var seconds = new Option<double>("--seconds") { Description = "for each situation", DefaultValueFactory = _ => 20 };
        return new Command("clock", "What protection and a takeover do to the guest's clock, with chrony in the guest and without") { seconds, Json }
            .WithExamples("pollux bench clock", "pollux bench clock --seconds 60 --json clock.json")
            .Does(invocation => InLabAsync(invocation, async lab =>
            {
                var report = await ClockBench.RunAsync(lab, TimeSpan.FromSeconds(invocation.Get(seconds)), new ProgressLines(invocation), invocation.Cancellation);
                await WriteAsync(invocation, report, BenchJson.Default.ClockReport, Write);
            }));
    }

    private static Task InLabAsync(Invocation invocation, Func<LabCluster, Task> work) => InLabAsync(invocation, null, work);

    /// <param name="directory">Where the report will go, if it will.</param>
    internal static async Task InLabAsync(Invocation invocation, string? directory, Func<LabCluster, Task> work)
    {
        ReportDirectory.Require(directory);
        var name = LabName.Choose(Environment.GetEnvironmentVariable(LabName.Variable) ?? "bench");
        using var only = LabLock.TryTake(name, "bench") ?? throw new PolluxException("a benchmark runs already", "wait for it");
        await LabCluster.DownOwnAsync(name, "bench", invocation.Cancellation);
        try
        {
            await work(await LabCluster.UpAsync(name, new LabOptions(Owner: "bench"), new ProgressLines(invocation), invocation.Cancellation));
        }
        finally
        {
            await LabCluster.DownAsync(name, CancellationToken.None);
        }
    }

    private static void Write(IAnsiConsole console, CheckpointReport report)
    {
        Head(console, report.Host, report.QemuVersion, report.Accelerator);
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "pages", "floor p50", "p99", "pause p50", "p99", "ratio", $"budget {Number(PauseBudget)}", "bytes/page", "capture MB/s");
        foreach (var row in report.Rows)
        {
            table.AddRow(
                $"{row.Pages}", $"{Number(row.FloorMs.P50)} ms", $"{Number(row.FloorMs.P99)}", $"{Number(row.PauseMs.P50)} ms", $"{Number(row.PauseMs.P99)}",
                Number(row.Ratio), row.Ratio <= PauseBudget ? "kept" : "missed", Number(row.BytesPerPage), Number(Math.Round(row.CaptureMBPerSecond)));
        }
        console.Write(table);
    }

    private static void Write(IAnsiConsole console, TakeoverReport report)
    {
        Head(console, report.Host, report.QemuVersion, report.Accelerator);
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "RAM", "rounds", "detect p50", "arbitrate p50", "resume p50", "most", $"budget {Number(ResumeBudgetMs)} ms", "until protected p50");
        foreach (var row in report.Rows)
        {
            table.AddRow(
                $"{row.MemoryMiB} MiB", $"{row.Rounds}", $"{Number(row.DetectMs.P50)} ms", $"{Number(row.ArbitrateMs.P50)} ms", $"{Number(row.ResumeMs.P50)} ms",
                $"{Number(row.ResumeMs.Max)} ms", row.ResumeMs.P50 <= ResumeBudgetMs ? "kept" : "missed", $"{Number(row.FullCopyMs.P50 / 1000)} s");
        }
        console.Write(table);
    }

    private static void Write(IAnsiConsole console, RoundTripReport report)
    {
        Head(console, report.Host, report.QemuVersion, report.Accelerator);
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "mode", "round trip p50", "p99", "added", $"budget {Number(AddedRoundTripBudgetMs)} ms", "requests/s", "checkpoints/s", "pause p50");
        var alone = report.Rows[0].RoundTripMs.P50;
        foreach (var row in report.Rows)
        {
            var added = row.RoundTripMs.P50 - alone;
            var isAlone = row.Mode == "unprotected";
            table.AddRow(
                row.Mode, $"{Number(row.RoundTripMs.P50)} ms", Number(row.RoundTripMs.P99), isAlone ? "" : $"{Number(added)} ms",
                isAlone ? "" : added <= AddedRoundTripBudgetMs ? "kept" : "missed", Number(Math.Round(row.RequestsPerSecond)),
                isAlone ? "" : Number(row.CheckpointsPerSecond), isAlone ? "" : $"{Number(row.PauseMsP50)} ms");
        }
        console.Write(table);
    }

    private static void Write(IAnsiConsole console, ClockReport report)
    {
        Head(console, report.Host, report.QemuVersion, report.Accelerator);
        var table = new Table().Border(TableBorder.Simple).AddColumns(
            "guest", "situation", "offset at first", "at last", "worst, 2nd half", "drift", "checkpoints/s", "guest stopped", "steps back");
        foreach (var row in report.Rows)
        {
            table.AddRow(
                row.Chrony ? "with chrony" : "as it is", row.Situation, $"{Number(Math.Round(row.BeginMs))} ms", $"{Number(Math.Round(row.EndMs))} ms",
                $"{Number(Math.Round(row.WorstMs))} ms", $"{Number(row.DriftPercent)} %", Number(row.CheckpointsPerSecond), $"{Number(row.StoppedPercent)} %", $"{row.StepsBack}");
        }
        console.Write(table);
    }

    internal static void Head(IAnsiConsole console, BenchHost host, string qemu, string accelerator) => console.WriteLine($"{host}, QEMU {qemu} ({accelerator})");

    private static Task WriteAsync<T>(Invocation invocation, T report, JsonTypeInfo<T> type, Action<IAnsiConsole, T> table) => WriteAsync(invocation, Json, report, type, table);

    internal static async Task WriteAsync<T>(Invocation invocation, Option<string?> json, T report, JsonTypeInfo<T> type, Action<IAnsiConsole, T> table)
    {
        if (invocation.Get(json) is { } file)
        {
            // Of an interrupted run too: what was measured is kept.
            await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, type) + "\n", CancellationToken.None);
        }
        invocation.Result(report, type, table);
    }

    private static IReadOnlyList<int> Numbers(string list, int least, int most) =>
        [.. list.Split(',', StringSplitOptions.TrimEntries).Select(word => int.TryParse(word, CultureInfo.InvariantCulture, out var n) && n >= least && n <= most
            ? n
            : throw new PolluxException($"'{word}' in '{list}' is no number from {least} to {most}"))];

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
