using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab.Bench;
using Pollux.Lab.Bench.Migration;
using Pollux.Migration;
using Pollux.Migration.Policies;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux bench migration</c>: the policies of live migration on real guests, side by side.</summary>
internal static class BenchMigrationCommand
{
    internal static Command Create(Option<string?> json)
    {
        var quick = new Option<bool>("--quick") { Description = "five guests instead of eight, the 128 MB/s link only, two runs instead of five, cut at 20 s instead of 60: some eight minutes instead of an hour" };
        var only = new Option<string?>("--only") { Description = "guests whose name is in this list: idle, redis, rewrite-0.5x, rewrite-0.8x, rewrite-1.2x, rewrite-2x, rewrite-4x, phases", HelpName = "guests" };
        var policies = new Option<string?>("--policies") { Description = $"instead of the usual ones, a list of {string.Join(", ", MigrationPolicies.Names)}", HelpName = "policies" };
        var links = new Option<string?>("--links") { Description = "MB/s, a list; default 128,512 (quick: 128)", HelpName = "MB/s" };
        var runs = new Option<int?>("--runs") { Description = "of each policy on each guest; default 5, quick 2" };
        var pause = new Option<double?>("--max-pause") { Description = "the longest pause that the user allows, ms; default 1500" };
        var qemu = new Option<string>("--qemu") { Description = "the QEMU", DefaultValueFactory = _ => "qemu-system-x86_64" };
        return new Command("migration", "Live migration's policies on real guests: success, time, data, pause, the guest's speed") { quick, only, policies, links, runs, pause, qemu, json }
            .WithExamples("pollux bench migration --quick --json runs.json", "pollux bench migration --only rewrite-2x,redis --policies mp,stock --runs 3")
            .Does(async invocation =>
            {
                var isQuick = invocation.Get(quick);
                var settings = isQuick ? MigrationBenchSettings.Quick(invocation.Get(qemu)!) : MigrationBenchSettings.Full(invocation.Get(qemu)!);
                settings = Chosen(settings, List(invocation.Get(only)), List(invocation.Get(policies)), List(invocation.Get(links))) with
                {
                    Runs = invocation.Get(runs) ?? settings.Runs,
                    MaxPauseMs = invocation.Get(pause) ?? settings.MaxPauseMs,
                };
                var measured = new List<MigrationRun>();
                try
                {
                    await MigrationBench.RunAsync(settings, new ProgressLines(invocation), measured.Add, invocation.Cancellation);
                }
                finally
                {
                    // An interrupted run keeps what it has.
                    if (measured.Count > 0)
                    {
                        await BenchCommand.WriteAsync(invocation, json, measured, MigrationRunsJson.Default.ListMigrationRun, Write);
                    }
                }
            });
    }

    private static IReadOnlyList<string>? List(string? text) => text?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static MigrationBenchSettings Chosen(MigrationBenchSettings settings, IReadOnlyList<string>? guests, IReadOnlyList<string>? policies, IReadOnlyList<string>? links)
    {
        foreach (var policy in policies ?? [])
        {
            if (!MigrationPolicies.Names.Contains(policy))
            {
                throw new PolluxException($"there is no migration policy '{policy}'", $"there are {string.Join(", ", MigrationPolicies.Names)}");
            }
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

    private static void Write(IAnsiConsole console, List<MigrationRun> runs)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("guest", "link", "policy", "succeeded", "total", "sent", "pause", "predicted", "guest's speed");
        foreach (var group in runs.GroupBy(r => (r.Guest, r.LinkMBps, r.Policy)).OrderBy(g => g.Key.LinkMBps))
        {
            var pauses = group.Where(r => r.PauseMs is not null).ToList();
            var speeds = group.Where(r => r.GuestSpeed is not null).ToList();
            table.AddRow(
                group.Key.Guest, Invariant($"{group.Key.LinkMBps} MB/s"), group.Key.Policy + (group.First().LimitMs is { } limit ? Invariant($" ({limit:0} ms)") : ""),
                $"{group.Count(r => r.Succeeded)} of {group.Count()}", Invariant($"{Median(group, r => r.TotalSeconds):0.00} s"), Invariant($"{Median(group, r => r.SentBytes / 1e6):0} MB"),
                pauses.Count == 0 ? "" : Invariant($"{Median(pauses, r => r.PauseMs!.Value):0} ms"), pauses.Count == 0 ? "" : Invariant($"{Median(pauses, r => r.PredictedPauseMs ?? 0):0} ms"),
                speeds.Count == 0 ? "" : Invariant($"{Median(speeds, r => r.GuestSpeed!.Value):0.00}"));
        }
        console.Write(table);
    }

    private static double Median(IEnumerable<MigrationRun> runs, Func<MigrationRun, double> of)
    {
        var sorted = runs.Select(of).Order().ToList();
        return sorted[sorted.Count / 2];
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
