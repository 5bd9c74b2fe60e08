using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Pollux.Cli.Demo;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab;
using Pollux.Lab.Demo;
using Pollux.Lab.Layout;
using Pollux.Qemu.Spec;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux demo</c>: a protected VM under load, its host struck, and what a client saw. Leaves nothing behind.</summary>
internal static class DemoCommand
{
    private const string DefaultLab = "demo";
    private const string Owner = "demo";
    private const double DefaultSeconds = 10;
    private const int MaxRounds = 100;

    private static readonly Option<string?> Name = new("--name") { Description = $"the demo's own lab, built for it and removed; default '{DefaultLab}'", HelpName = "lab" };
    private static readonly Option<string> Accel = Choice("--accel", "what executes the guest", "auto", "auto", "kvm", "tcg");
    private static readonly Option<string> Trigger = Choice("--trigger", "when to checkpoint", "adaptive", "periodic", "on-output", "adaptive");
    private static readonly Option<string> Fault = Choice("--fault", "what happens to the guest's host", "power-off", DemoSettings.Faults);
    private static readonly Option<double> Seconds = new("--seconds") { Description = "how long the client works before the fault", DefaultValueFactory = _ => DefaultSeconds };
    private static readonly Option<int> Repeat = new("--repeat") { Description = "how often to strike; the hosts take turns", DefaultValueFactory = _ => 1 };
    private static readonly Option<string?> Json = new("--json") { Description = "write what was measured to this file", HelpName = "file" };

    internal static Command Create()
    {
        Seconds.Goes<double>(s => s is > 0 and <= 3600, "from above 0 to 3600");
        Repeat.Goes<int>(n => n is >= 1 and <= MaxRounds, $"from 1 to {MaxRounds}");
        var command = new Command("demo", "Protect a VM under load, strike its host, and show what a client saw. Exit code 0 only if nothing was lost. Needs root.")
        {
            Name, Accel, Trigger, Fault, Seconds, Repeat, Json,
        };
        return command.WithExamples(
            "pollux demo",
            "pollux demo --fault freeze --seconds 30",
            "pollux demo --repeat 10 --json demo.json").Does(RunAsync);
    }

    private static async Task<int> RunAsync(Invocation invocation)
    {
        var name = LabName.Choose(invocation.Get(Name) ?? DefaultLab);
        var settings = new DemoSettings(
            Enum.Parse<Accelerator>(invocation.Get(Accel)!, ignoreCase: true), TimeSpan.FromSeconds(invocation.Get(Seconds)),
            invocation.Get(Trigger)!, invocation.Get(Fault)!, invocation.Get(Repeat));
        if (invocation.Get(Json) is { } file)
        {
            RequireWritable(file);
        }
        var progress = new ProgressLines(invocation);
        using var only = LabLock.TryTake(name, "demo")
            ?? throw new PolluxException($"a demo runs in lab '{name}' already", "wait for it, or choose another name with --name");
        // A demo that was killed left it.
        await LabCluster.DownOwnAsync(name, Owner, invocation.Cancellation);
        try
        {
            var lab = await LabCluster.UpAsync(name, new LabOptions(Owner: Owner), progress, invocation.Cancellation);
            var (report, timeline) = await RunAsync(lab, settings, progress, invocation.Cancellation);
            await WriteAsync(invocation, report, timeline);
            return report.IsGood ? PolluxCommand.Done : PolluxCommand.Failed;
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            invocation.Progress("interrupted; removing the lab");
            return PolluxCommand.Interrupted;
        }
        finally
        {
            await LabCluster.DownAsync(name, CancellationToken.None);
        }
    }

    private static async Task<(DemoReport Report, DemoTimeline? Timeline)> RunAsync(
        LabCluster lab, DemoSettings settings, IProgress<string> progress, CancellationToken cancellation)
    {
        try
        {
            var outcome = await DemoRun.RunAsync(lab, settings, progress, cancellation);
            if (!outcome.Report.IsGood)
            {
                progress.Report($"the hosts' logs are kept in {KeepLogs(lab)}");
            }
            return outcome;
        }
        catch (PolluxException e)
        {
            throw new PolluxException(e.Problem, $"the hosts' logs are kept in {KeepLogs(lab)}", e);
        }
    }

    /// <summary>The lab goes with its logs; a failure is looked into afterwards.</summary>
    private static string KeepLogs(LabCluster lab)
    {
        var directory = Directory.CreateTempSubdirectory("pollux-demo-").FullName;
        lab.SaveLogs(directory);
        return directory;
    }

    private static async Task WriteAsync(Invocation invocation, DemoReport report, DemoTimeline? timeline)
    {
        if (invocation.Get(Json) is { } file)
        {
            await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, DemoJson.Default.DemoReport) + "\n", invocation.Cancellation);
        }
        invocation.Result(report, DemoJson.Default.DemoReport, (console, r) => DemoTables.Write(console, r, timeline));
    }

    /// <summary>Said now, and not after the minutes that the demo takes.</summary>
    private static void RequireWritable(string file)
    {
        try
        {
            File.Open(file, FileMode.Append).Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PolluxException($"{file} cannot be written: {e.Message}", "name another with --json", e);
        }
    }

    private static Option<string> Choice(string name, string description, string usual, params string[] choices)
    {
        var option = new Option<string>(name) { Description = $"{description}: {string.Join(", ", choices)}", DefaultValueFactory = _ => usual, HelpName = string.Join('|', choices) };
        option.CompletionSources.Add(choices);
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !choices.Contains(token.Value))
            {
                result.AddError($"{name} knows no '{token.Value}'; choose one of {string.Join(", ", choices)}");
            }
        });
        return option;
    }
}
