using System.CommandLine;
using System.Text.Json;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab;
using Pollux.Lab.Bench;
using Pollux.Lab.Bench.Modes;
using Pollux.Qemu.Spec;
using Spectre.Console;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux bench modes</c>: all ways of protecting a guest, none, and an upstream COLO pair, in one run.</summary>
internal static class BenchModesCommand
{
    private const int QuickSeconds = 3;
    private const int FullSeconds = 5;
    private const int FullRepetitions = 3;
    private static readonly int[] Rates = [10, 50, 200];

    internal static Command Create(Option<string?> json)
    {
        var quick = new Option<bool>("--quick") { Description = "once instead of three times, and shorter: some eight minutes instead of half an hour" };
        var only = new Option<string?>("--only") { Description = "loads whose name contains this: idle, Redis, rewriting, KVM, floor", HelpName = "load" };
        var seconds = new Option<double?>("--seconds") { Description = $"for each load, mode and repetition; default {FullSeconds}, quick {QuickSeconds}" };
        var repetitions = new Option<int?>("--repetitions") { Description = $"default {FullRepetitions}, quick 1" };
        var directory = new Option<string?>("--out") { Description = "write modes.md, modes.json and plots (SVG) into this directory", HelpName = "directory" };
        var from = new Option<string?>("--from") { Description = "measure nothing: the page and the plots again, from the modes.json of an earlier run", HelpName = "file" };
        return new Command("modes", "Triggers, postponed against synchronous, an upstream COLO pair and no protection, compared in one run") { quick, only, seconds, repetitions, directory, from, json }
            .WithExamples("pollux bench modes --quick", "pollux bench modes --only Redis --json modes.json", "pollux bench modes --out docs/benchmarks")
            .Does(invocation => invocation.Get(from) is { } earlier ? ShowAsync(invocation, Read(earlier), json, invocation.Get(directory)) : BenchCommand.InLabAsync(invocation, invocation.Get(directory), async lab =>
            {
                var isQuick = invocation.Get(quick);
                var settings = new ModesSettings(
                    Loads(invocation.Get(only)), TimeSpan.FromSeconds(invocation.Get(seconds) ?? (isQuick ? QuickSeconds : FullSeconds)),
                    invocation.Get(repetitions) ?? (isQuick ? 1 : FullRepetitions), Floor(invocation.Get(only), isQuick), isQuick);
                var report = await ModesBench.RunAsync(lab, settings, new ProgressLines(invocation), invocation.Cancellation);
                await ShowAsync(invocation, report, json, invocation.Get(directory));
            }));
    }

    private static async Task ShowAsync(Invocation invocation, ModesReport report, Option<string?> json, string? directory)
    {
        if (directory is not null)
        {
            ReportDirectory.Require(directory);
            await ReportDirectory.WriteAsync(
                directory, [("modes.json", JsonSerializer.Serialize(report, ModesJson.Default.ModesReport) + "\n"), .. ModesDocument.Files(report)], invocation.Cancellation);
        }
        await BenchCommand.WriteAsync(invocation, json, report, ModesJson.Default.ModesReport, Write);
    }

    /// <summary>The runs are what was measured; all else follows from them as this release sees it.</summary>
    private static ModesReport Read(string file)
    {
        try
        {
            var read = JsonSerializer.Deserialize(File.ReadAllText(file), ModesJson.Default.ModesReport) ?? throw new JsonException("it is empty");
            var rows = ModesSummary.Rows(read.Runs);
            return read with { Rows = rows, Goals = ModesSummary.Goals(rows, read.Floor) };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new PolluxException($"{file} is no comparison of modes: {e.Message}", "name a modes.json with --from", e);
        }
    }

    private static IReadOnlyList<ModeLoad> Loads(string? only)
    {
        ModeLoad[] all = [ModeLoad.Idle, ModeLoad.Redis(1), ModeLoad.Redis(50), ModeLoad.Redis(200), .. Rates.Select(ModeLoad.Rewriting), .. Rates.Select(ModeLoad.RewritingUnderKvm)];
        var chosen = all.Where(l => only is null || l.Name.Contains(only, StringComparison.OrdinalIgnoreCase)).ToList();
        return chosen.Count > 0 || only == "floor" ? chosen : throw new PolluxException($"no load's name contains '{only}'", $"there are {string.Join("; ", all.Select(l => l.Name))}; floor");
    }

    /// <summary>At the pages of the loads under KVM.</summary>
    private static CheckpointBenchSettings? Floor(string? only, bool isQuick) => only is null or "floor" or "KVM"
        ? new CheckpointBenchSettings([.. Rates.Select(r => ModeLoad.RewritingUnderKvm(r).PagesPerRound)], TimeSpan.FromSeconds(2), isQuick ? 3 : 6, 50, Accelerator.Kvm, "qemu-system-x86_64")
        : null;

    private static void Write(IAnsiConsole console, ModesReport report)
    {
        console.WriteLine($"{report.Host}, QEMU {report.QemuVersion}");
        foreach (var load in report.Rows.GroupBy(r => r.Load))
        {
            console.WriteLine();
            console.WriteLine(load.Key);
            var table = new Table().Border(TableBorder.Simple).AddColumns(
                "mode", "checkpoints/s", "pause p50", "p99", "round trip p50", "p99", "added", "requests/s", "of unprotected", "link MB/s", "guest's speed");
            foreach (var row in load)
            {
                table.AddRow(
                    row.Mode, N(row.CheckpointsPerSecond.Median), Ms(row.PauseP50Ms), Ms(row.PauseP99Ms), Ms(row.RoundTripP50Ms), Ms(row.RoundTripP99Ms),
                    row.AddedMs is { } added ? $"{N(added.Median)} ms" : "", row.Throughput is null ? "" : N(row.RequestsPerSecond.Median),
                    Percent(row.Throughput), N(row.LinkMBPerSecond.Median), Percent(row.Speed));
            }
            console.Write(table);
        }
        var goals = new Table().Border(TableBorder.Simple).AddColumns("goal", "seen", "");
        foreach (var goal in report.Goals)
        {
            goals.AddRow(goal.What, goal.Seen, goal.IsMet ? "met" : "missed");
        }
        console.Write(goals);
        foreach (var failure in report.Failures)
        {
            console.WriteLine($"not measured: {failure}");
        }
    }

    private static string Ms(Spread spread) => spread.Most > 0 ? $"{N(spread.Median)} ms" : "";

    private static string Percent(Spread? share) => share is null ? "" : $"{N(100 * share.Median)} %";
}
