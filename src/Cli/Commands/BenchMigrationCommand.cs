using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab.Bench;
using Pollux.Lab.Bench.Migration;
using Pollux.Migration;
using Pollux.Migration.Policies;
using Pollux.Qemu.Process;
using Spectre.Console;
using static Pollux.Lab.Bench.Figures;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux bench migration</c>: the policies of live migration on real guests, side by side.</summary>
internal static class BenchMigrationCommand
{
    private const string Stock = "qemu-system-x86_64";

    internal static Command Create(Option<string?> json)
    {
        var quick = new Option<bool>("--quick") { Description = "four guests instead of eight, the 128 MB/s link only, two runs instead of five, stock cut at 20 s instead of 30: some eight minutes instead of fifty" };
        var only = new Option<string?>("--only") { Description = "a list of idle, redis, rewrite-0.5x, rewrite-0.8x, rewrite-1.2x, rewrite-2x, rewrite-4x, phases", HelpName = "guests" };
        var policies = new Option<string?>("--policies") { Description = $"instead of the usual ones, a list of {string.Join(", ", MigrationPolicies.Names)}", HelpName = "policies" };
        var links = new Option<string?>("--links") { Description = "a list; default 128,512 (quick: 128)", HelpName = "MB/s" };
        var runs = new Option<int?>("--runs") { Description = "of each policy on each guest; default 5, quick 2" };
        var pause = new Option<double?>("--max-pause") { Description = "the longest pause that the user allows; default 1500", HelpName = "ms" };
        var qemu = new Option<string>("--qemu") { Description = "the QEMU", DefaultValueFactory = _ => Stock };
        var directory = new Option<string?>("--out") { Description = "write migration.md, migration.json and plots (SVG) into this directory", HelpName = "directory" };
        var from = new Option<string?>("--from") { Description = "measure nothing: the page and the plots again, from the migration.json of an earlier run", HelpName = "file" };
        var record = new Option<string?>("--record") { Description = "measure nothing: record the guests' memory traces anew into this directory (five minutes)", HelpName = "directory" };
        runs.Goes<int>(n => n is >= 1 and <= 100, "from 1 to 100");
        return new Command("migration", "Live migration's policies on real guests: success, time, data, pause, the guest's speed") { quick, only, policies, links, runs, pause, qemu, directory, from, record, json }
            .WithExamples(
                "pollux bench migration --quick --json runs.json", "pollux bench migration --only rewrite-2x,redis --policies mp,stock --runs 3",
                "pollux bench migration --out docs/benchmarks", "pollux bench migration --record tests/Traces")
            .Does(async invocation =>
            {
                if (invocation.Get(record) is { } traces)
                {
                    ReportDirectory.Require(traces);
                    await MigrationTraces.RecordAsync(traces, invocation.Get(only), invocation.Get(qemu)!, new ProgressLines(invocation), invocation.Cancellation);
                    return;
                }
                if (invocation.Get(from) is { } earlier)
                {
                    await ShowAsync(invocation, Read(earlier), json, invocation.Get(directory));
                    return;
                }
                ReportDirectory.Require(invocation.Get(directory));
                var isQuick = invocation.Get(quick);
                var settings = isQuick ? MigrationBenchSettings.Quick(invocation.Get(qemu)!) : MigrationBenchSettings.Full(invocation.Get(qemu)!);
                settings = Chosen(settings, List(invocation.Get(only)), List(invocation.Get(policies)), List(invocation.Get(links))) with
                {
                    Runs = invocation.Get(runs) ?? settings.Runs,
                    MaxPauseMs = invocation.Get(pause) ?? settings.MaxPauseMs,
                };
                await MeasureAsync(invocation, settings, isQuick, json, invocation.Get(directory));
            });
    }

    private static async Task MeasureAsync(Invocation invocation, MigrationBenchSettings settings, bool isQuick, Option<string?> json, string? directory)
    {
        var host = BenchHost.Here();
        var version = await QemuVersion.OfAsync(settings.Qemu, invocation.Cancellation);
        var measured = new List<MigrationRun>();
        var failures = new List<string>();
        try
        {
            await MigrationBench.RunAsync(settings, new ProgressLines(invocation), measured.Add, failures.Add, invocation.Cancellation);
            measured.AddRange(MigrationTraces.Replay(settings.MorePolicies, measured, settings.Runs, settings.MaxPauseMs, settings.Cut.TotalSeconds));
        }
        finally
        {
            // An interrupted run keeps what it has.
            if (measured.Count > 0)
            {
                await ShowAsync(invocation, MigrationReport.Of(host, version.ToString(), isQuick, measured, failures), json, directory);
            }
        }
    }

    private static async Task ShowAsync(Invocation invocation, MigrationReport report, Option<string?> json, string? directory)
    {
        if (directory is not null)
        {
            ReportDirectory.Require(directory);
            await ReportDirectory.WriteAsync(
                directory, [("migration.json", JsonSerializer.Serialize(report, MigrationJson.Default.MigrationReport) + "\n"), .. MigrationDocument.Files(report)], CancellationToken.None);
        }
        await BenchCommand.WriteAsync(invocation, json, report.Runs, MigrationJson.Default.IReadOnlyListMigrationRun, (console, _) => Write(console, report));
    }

    private static MigrationReport Read(string file)
    {
        try
        {
            var read = JsonSerializer.Deserialize(File.ReadAllText(file), MigrationJson.Default.MigrationReport) ?? throw new JsonException("it is empty");
            return MigrationReport.Of(read.Host, read.QemuVersion, read.IsQuick, read.Runs, read.Failures);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new PolluxException($"{file} is no comparison of migrations: {e.Message}", "name a migration.json with --from", e);
        }
    }

    private static IReadOnlyList<string>? List(string? text) => text?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static MigrationBenchSettings Chosen(MigrationBenchSettings settings, IReadOnlyList<string>? guests, IReadOnlyList<string>? policies, IReadOnlyList<string>? links)
    {
        foreach (var policy in (policies ?? []).Where(p => !MigrationPolicies.Names.Contains(p)))
        {
            throw new PolluxException($"there is no migration policy '{policy}'", $"there are {string.Join(", ", MigrationPolicies.Names)}");
        }
        var rates = links?.Select(l => double.TryParse(l, CultureInfo.InvariantCulture, out var rate) && rate is >= 1 and <= 10_000
            ? rate : throw new PolluxException($"'{l}' is no rate of a link in MB/s", "give numbers from 1 to 10000")).ToList();
        // Named guests are taken from all there are, also for the quick run.
        var all = (rates ?? [.. settings.Guests.Select(g => g.LinkMBps).Distinct()]).SelectMany(rate => guests is null
            ? settings.Guests.Where(g => g.LinkMBps == settings.MoreLinkMBps).Select(g => BenchGuest.All(rate).Single(b => b.Name == g.Name))
            : guests.Select(name => BenchGuest.All(rate).FirstOrDefault(b => b.Name == name)
                ?? throw new PolluxException($"there is no guest '{name}'", $"there are {string.Join(", ", BenchGuest.All(rate).Select(b => b.Name))}")));
        return settings with { Guests = [.. all], Policies = policies ?? settings.Policies, MorePolicies = policies is null ? settings.MorePolicies : [] };
    }

    private static void Write(IAnsiConsole console, MigrationReport report)
    {
        console.WriteLine($"{report.Host}, QEMU {report.QemuVersion}");
        foreach (var place in report.Rows.GroupBy(r => (r.Guest, r.LinkMBps)))
        {
            console.WriteLine();
            console.WriteLine($"{place.Key.Guest}, {N(place.Key.LinkMBps)} MB/s");
            var table = new Table().Border(TableBorder.Simple).AddColumns("policy", "succeeded", "total", "sent", "pause", "guest's speed", "");
            foreach (var row in place)
            {
                table.AddRow(
                    row.Policy + (row.LimitMs is { } limit ? $" ({N(limit)} ms)" : ""), $"{row.Succeeded} of {row.Repetitions}", $"{N(row.TotalSeconds.Median)} s", $"{N(row.SentMB.Median)} MB",
                    row.PauseMs is { } p ? $"{N(p.Median)} ms" : "", row.GuestSpeed is { } speed ? N(speed.Median) : "", row.Kind == RunKind.Replayed ? "replayed" : "");
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
}
