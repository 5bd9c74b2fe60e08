using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Cli.Output;
using Pollux.Core;
using Pollux.Lab;
using Pollux.Lab.Faults;
using Pollux.Lab.Health;
using Pollux.Lab.Layout;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux lab …</c>: a cluster on one machine, and its faults.</summary>
internal static class LabCommand
{
    private static readonly Option<string?> Name = new("--name")
    {
        Description = $"which lab, when several run side by side; default ${LabName.Variable}, else '{LabName.Default}'",
        Recursive = true,
    };

    private static readonly Argument<string> Host = new("HOST") { Description = "a host of the lab: h1, h2, … or w" };

    private static readonly Argument<string> VmAtHost = new("VM@HOST") { Description = "a VM and the host on which to strike it" };

    internal static Command Create()
    {
        return new Command("lab", "Run a cluster on this machine, in namespaces, and do harm to it. Needs root.")
        {
            Name,
            Up(), Down(), Status(), Exec(), PowerOn(),
            Fault("power-off", "Cut a host's cables, then kill all of it: nothing of it is heard again", h => new LabFault.PowerOff(h)),
            Fault("freeze", "Stop every process of a host where it is; its kernel still acknowledges TCP", h => new LabFault.Freeze(h)),
            Fault("thaw", "End a freeze", h => new LabFault.Thaw(h)),
            Fault("kill-agent", "Kill a host's agent; it is started again within a second", h => new LabFault.KillAgent(h)),
            VmFault("kill-qemu", "Kill a VM's QEMU on a host", (vm, h) => new LabFault.KillQemu(vm, h)),
            VmFault("kill-keeper", "Kill a VM's keeper on a host", (vm, h) => new LabFault.KillKeeper(vm, h)),
        }.WithExamples(
            "pollux lab up --hosts 2",
            "pollux lab exec h1 -- pollux vm list",
            "pollux lab power-off h1",
            "pollux lab kill-qemu web@h2 --name second",
            "pollux lab down");
    }

    private static Command Up()
    {
        var hosts = new Option<int>("--hosts") { Description = "how many data hosts; with 2 comes a witness 'w'", DefaultValueFactory = _ => 2 };
        var noAgents = new Option<bool>("--no-agents") { Description = "hosts and etcd alone", Hidden = true };
        var command = new Command("up", "Build the lab, or power on what is off in it; ready when everything answers") { hosts, noAgents };
        command.WithExamples("pollux lab up", "pollux lab up --hosts 3 --name second").Does(async invocation =>
        {
            var name = LabName.Choose(invocation.Get(Name));
            var progress = new ProgressLines(invocation);
            var lab = await LabCluster.UpAsync(name, invocation.Get(hosts), !invocation.Get(noAgents), progress, invocation.Cancellation);
            await ShowAsync(lab, invocation);
        });
        return command;
    }

    private static Command Down()
    {
        var command = new Command("down", "Kill and remove everything of the lab, also what a killed command left");
        command.WithExamples("pollux lab down", "POLLUX_LAB=second pollux lab down").Does(async invocation =>
        {
            var name = LabName.Choose(invocation.Get(Name));
            await LabCluster.DownAsync(name, invocation.Cancellation);
            var left = Leftovers.Find(name);
            if (left.Count > 0)
            {
                throw new PolluxException($"lab '{name}' left behind: {string.Join(", ", left)}", "run pollux lab down again");
            }
        });
        return command;
    }

    private static Command Status()
    {
        var command = new Command("status", "Show the hosts, or what is left of a lab that is not up");
        command.WithExamples("pollux lab status", "pollux lab status --output json").Does(async invocation =>
        {
            var name = LabName.Choose(invocation.Get(Name));
            if (!LabCluster.IsUp(name) && Leftovers.Find(name) is { Count: > 0 } left)
            {
                throw new PolluxException($"lab '{name}' is not up, but exists in part: {string.Join(", ", left)}", "pollux lab down");
            }
            await ShowAsync(LabCluster.Open(name), invocation);
        });
        return command;
    }

    private static Command Exec()
    {
        var where = new Argument<string>("HOST") { Description = "a host of the lab, or client or switch" };
        var words = new Argument<string[]>("COMMAND") { Arity = ArgumentArity.OneOrMore };
        var command = new Command("exec", "Run a command inside a host, with the lab's programs in its PATH") { where, words };
        command.WithExamples("pollux lab exec h1 -- pollux vm list", "pollux lab exec client -- busybox nc 10.78.0.10 6379", "pollux lab exec switch -- tcpdump -ni lan").Does(async invocation =>
        {
            var start = LabCluster.Open(LabName.Choose(invocation.Get(Name))).EnterCommand(invocation.Get(where), invocation.Get(words));
            using var process = Process.Start(start) ?? throw new PolluxException($"{start.FileName} did not start");
            // The terminal's signals reach the command itself; its end is this command's end.
            await process.WaitForExitAsync(CancellationToken.None);
            return process.ExitCode;
        });
        return command;
    }

    private static Command PowerOn()
    {
        var command = new Command("power-on", "Start a host that was powered off: empty memory, the same disk") { Host };
        command.WithExamples("pollux lab power-on h1").Does(async invocation =>
        {
            await LabCluster.Open(LabName.Choose(invocation.Get(Name))).PowerOnAsync(invocation.Get(Host), invocation.Cancellation);
        });
        return command;
    }

    private static Command Fault(string name, string description, Func<string, LabFault> create)
    {
        var command = new Command(name, description) { Host };
        command.WithExamples($"pollux lab {name} h1").Does(invocation => Strike(invocation, create(invocation.Get(Host))));
        return command;
    }

    private static Command VmFault(string name, string description, Func<VmName, string, LabFault> create)
    {
        var command = new Command(name, description) { VmAtHost };
        command.WithExamples($"pollux lab {name} web@h1").Does(invocation =>
        {
            var target = invocation.Get(VmAtHost);
            return target.Split('@') is [var vm, var host]
                ? Strike(invocation, create(VmName.Create(vm), host))
                : throw new PolluxException($"'{target}' does not name a VM on a host", $"write {name} VM@HOST");
        });
        return command;
    }

    private static Task Strike(Invocation invocation, LabFault fault)
    {
        using var prepared = LabCluster.Open(LabName.Choose(invocation.Get(Name))).Prepare(fault);
        invocation.Result(prepared.Strike(), LabCommandJson.Default.StruckFault, (console, struck) => console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{struck.Fault} {struck.Host} at {struck.UnixMs:0.000} ms (Unix time), in {struck.TookMs:0.000} ms")));
        return Task.CompletedTask;
    }

    private static async Task ShowAsync(LabCluster lab, Invocation invocation) => invocation.Result(
        await lab.StatusAsync(invocation.Cancellation), LabCommandJson.Default.IReadOnlyListHostStatus, (console, hosts) =>
        {
            var table = new Table().Border(TableBorder.Simple).AddColumns("host", "address", "power", "etcd", "agent", "keepers", "QEMUs", "logs");
            foreach (var h in hosts)
            {
                table.AddRow($"{h.Host}", h.Address, h.Power, Said(h.Etcd), Said(h.Agent), $"{h.Keepers}", $"{h.Qemus}", h.LogDirectory);
            }
            console.Write(table);
        });

    private static string Said(bool? answers) => answers switch { true => "answers", false => "silent", null => "-" };
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StruckFault))]
[JsonSerializable(typeof(IReadOnlyList<HostStatus>))]
internal sealed partial class LabCommandJson : JsonSerializerContext;
