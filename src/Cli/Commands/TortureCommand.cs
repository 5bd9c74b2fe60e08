using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Lab.Torture;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux lab torture</c>: faults at every step of the protocol, in an order that a seed gives, judged from outside.</summary>
internal static class TortureCommand
{
    private const string DefaultLab = "torture";
    private const int MaxRounds = 100_000;

    private static readonly Option<ulong> Seed = new("--seed") { Description = "gives the order of the faults and their moments", DefaultValueFactory = _ => 1 };
    private static readonly Option<int> Rounds = new("--rounds") { Description = "how many; about seven seconds each", DefaultValueFactory = _ => 20 };
    private static readonly Option<int?> Each = new("--each") { Description = "instead of --rounds: as many as it takes for each fault to strike so often", HelpName = "times" };
    private static readonly Option<int> After = new("--after") { Description = "go on behind this round of the same order, which was played before", HelpName = "round", DefaultValueFactory = _ => 0 };
    private static readonly Option<string?> Vm = new("--vm") { Description = "the spec of the guest, which must be the Redis guest; default: the example", HelpName = "file" };
    private static readonly Option<string?> Only = new("--only") { Description = "only rounds whose description contains this, as in 'freeze of the standby'", HelpName = "words" };
    private static readonly Option<bool> List = new("--list") { Description = "show the rounds and play none" };
    private static readonly Option<string?> Json = new("--json") { Description = "write every round's figures to this file", HelpName = "file" };

    /// <param name="name">The option that names the lab.</param>
    internal static Command Create(Option<string?> name)
    {
        var command = new Command("torture", "Strike a protected VM under load, round after round, and judge each from outside. Builds a lab of its own and removes it.")
        {
            Seed, Rounds, Each, After, Vm, LabCommand.Qemu, Only, List, Json,
        };
        Rounds.Goes<int>(n => n is >= 1 and <= MaxRounds, $"from 1 to {MaxRounds}");
        Each.Goes<int>(n => n is >= 1 and <= MaxRounds / 100, $"from 1 to {MaxRounds / 100}");
        return command.WithExamples(
            "pollux lab torture --rounds 20",
            "pollux lab torture --seed 7 --rounds 500 --json torture.json",
            "pollux lab torture --each 100 --json torture.json",
            "pollux lab torture --each 100 --after 812 --json rest.json",
            "pollux lab torture --only 'kill-keeper at the primary'").Does(invocation => RunAsync(invocation, name));
    }

    private static async Task<int> RunAsync(Invocation invocation, Option<string?> nameOption)
    {
        var seed = invocation.Get(Seed);
        if (invocation.Get(Each) is not null && invocation.Get(Only) is not null)
        {
            throw new PolluxException("--each takes all faults, --only some", "give one of them");
        }
        var rounds = invocation.Get(Each) is { } times ? TortureSchedule.OfEach(seed, times) : TortureSchedule.Of(seed, invocation.Get(Rounds), invocation.Get(Only));
        if (rounds.Count == 0)
        {
            throw new PolluxException($"no round is described by '{invocation.Get(Only)}'", $"see all with: pollux lab torture --list --rounds {TortureSchedule.Kinds.Count}");
        }
        var last = rounds[^1].Number;
        rounds = [.. rounds.Where(r => r.Number > invocation.Get(After))];
        if (rounds.Count == 0)
        {
            throw new PolluxException($"no round is left behind {invocation.Get(After)}: the last is {last}", "see their numbers with --list");
        }
        if (invocation.Get(List))
        {
            foreach (var round in rounds)
            {
                Terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{round.Number,5}  {round}"));
            }
            return PolluxCommand.Done;
        }
        var name = LabName.Choose(invocation.Get(nameOption) ?? DefaultLab);
        using var only = LabLock.TryTake(name, "torture")
            ?? throw new PolluxException($"a torture runs in lab '{name}' already", "wait for it, or choose another name with --name");
        var verdicts = new List<TortureVerdict>();
        await using var run = new TortureRun(name, seed, invocation.Get(Vm), new ProgressLines(invocation), new LabOptions(Qemu: LabCommand.QemuOf(invocation)));
        try
        {
            await run.PlayAsync(rounds, verdict =>
            {
                verdicts.Add(verdict);
                Tell(invocation, verdict);
            }, invocation.Cancellation);
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            invocation.Progress("interrupted; removing the lab");
        }
        var report = TortureReport.Of(seed, verdicts);
        var isWhole = report.Rounds == rounds.Count;
        if (invocation.Get(Json) is { } file)
        {
            await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, TortureJson.Default.TortureReport) + "\n", CancellationToken.None);
        }
        invocation.Result(report, TortureJson.Default.TortureReport, Show);
        return report is not { Failed: 0, Unreached: 0 } ? PolluxCommand.Failed : isWhole ? PolluxCommand.Done : PolluxCommand.Interrupted;
    }

    private static void Tell(Invocation invocation, TortureVerdict verdict)
    {
        invocation.Progress(string.Create(CultureInfo.InvariantCulture,
            $"{verdict.Round.Number,4} {verdict.Round}: {(verdict.IsClean ? "clean" : "BROKEN")}{(verdict.Reached ? "" : ", its point was not reached")}, {verdict.Before} → {verdict.After}, silent for {verdict.OutageMs:0} ms, {verdict.Client?.Acknowledged} writes, {verdict.Registers?.Operations} register operations, {verdict.Beacon?.Heard} beacons"));
        foreach (var complaint in verdict.Complaints)
        {
            invocation.Progress($"     {complaint}");
        }
        if (verdict.Evidence is { } evidence)
        {
            invocation.Progress($"     logs and recordings: {evidence}");
        }
    }

    private static void Show(IAnsiConsole console, TortureReport report)
    {
        console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{report.Rounds} rounds, {report.Failed} broken, {report.Unreached} whose point was not reached; {report.Acknowledged} acknowledged writes, {report.Lost} lost"));
        foreach (var row in report.Results.Where(r => r.Complaints.Count > 0))
        {
            console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  round {row.Round}, {row.What}: {row.Complaints[0]}"));
        }
    }
}
