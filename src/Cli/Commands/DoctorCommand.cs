using System.CommandLine;
using System.Text.Json.Serialization;
using Pollux.Cli.Doctor;
using Pollux.Cli.Output;
using Pollux.Cluster.Api;
using Pollux.Cluster.Configuration;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Qemu.Probing;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux doctor</c>: what this host has and lacks for running and protecting VMs, and why VMs are not protected that shall be.</summary>
internal static partial class DoctorCommand
{
    private static readonly Option<string?> Qemu = new("--qemu")
    {
        Description = "the QEMU to look at (default: what agent.yaml names, else qemu-system-x86_64)",
        HelpName = "path",
    };

    private static readonly Option<string> Config = new("--config")
    {
        Description = "the agent's configuration",
        HelpName = "file",
        DefaultValueFactory = _ => AgentConfig.DefaultFile,
    };

    private static readonly Argument<string?> Vm = new("VM")
    {
        Description = "only why this VM is not protected, with all that was looked at", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => null,
        CompletionSources = { Completions.Vms },
    };

    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(15);

    internal static Command Create() => new Command("doctor", "Say what this host has and lacks for running and protecting VMs, and why VMs are not protected that shall be; exit 1 if something required is missing")
    {
        Vm, Qemu, Config,
    }
        .WithExamples("pollux doctor", "pollux doctor redis", "pollux doctor --qemu /opt/qemu/bin/qemu-system-x86_64", "pollux doctor --output json")
        .Does(async invocation =>
        {
            var findings = invocation.Get(Vm) is { } vm ? await ExamineAsync(invocation, VmName.Create(vm)) : await LookAsync(invocation);
            var view = new DoctorView(findings.All(f => f.Verdict != Verdict.Missing), findings);
            invocation.Result(view, DoctorJson.Default.DoctorView, Write);
            return view.Ok ? PolluxCommand.Done : PolluxCommand.Failed;
        });

    private static async Task<IReadOnlyList<Finding>> LookAsync(Invocation invocation)
    {
        var (config, configured) = ClusterProbe.Configuration(invocation.Get(Config)!);
        invocation.Progress("trying QEMU: its accelerator, a checkpoint of a bare machine");
        var qemu = await QemuProbe.LookAsync(invocation.Get(Qemu) ?? config?.Qemu ?? "qemu-system-x86_64", config?.TcgShim ?? LabPrograms.ShimOfCheckout(), invocation.Cancellation);
        return
        [
            .. qemu,
            .. HostProbe.Look(config?.RamDirectory ?? "/dev/shm", config?.Cgroup),
            configured,
            await ClusterProbe.EtcdAsync(config, invocation.Cancellation),
            await ClusterProbe.AgentAsync(config, invocation.Socket, invocation.Cancellation),
            .. await ClusterProbe.VmsAsync(invocation.Socket, invocation.Cancellation),
        ];
    }

    /// <summary>The answer first, then what led to it.</summary>
    private static async Task<IReadOnlyList<Finding>> ExamineAsync(Invocation invocation, VmName vm)
    {
        using var agent = AgentClient.Local(invocation.Socket);
        var diagnosis = await agent.DiagnoseAsync(vm, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
        return [ClusterProbe.AnswerOf(diagnosis), .. diagnosis.Findings];
    }

    private static void Write(IAnsiConsole console, DoctorView view)
    {
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "", "");
        foreach (var finding in view.Findings)
        {
            table.AddRow(new Markup(Word(finding.Verdict)), new Text(finding.Subject), new Text(finding.Sentence));
            if (finding.NextStep is { } step)
            {
                table.AddRow(new Text(""), new Text(""), new Text($"→ {step}"));
            }
        }
        console.Write(table);
    }

    private static string Word(Verdict verdict) => verdict switch
    {
        Verdict.Ok => "[green]ok[/]",
        Verdict.Warning => "[yellow]warning[/]",
        Verdict.Missing => "[red]missing[/]",
        _ => "[grey]not configured[/]",
    };

    internal sealed record DoctorView(bool Ok, IReadOnlyList<Finding> Findings);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
    [JsonSerializable(typeof(DoctorView))]
    internal sealed partial class DoctorJson : JsonSerializerContext;
}
