using System.CommandLine;
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
        Description = $"which lab, when several run side by side; default ${LabName.Variable}, else '{LabName.Default}'; of torture: 'torture'",
        Recursive = true,
    };

    private static readonly Argument<string> Host = Machine("HOST", "a host of the lab: h1, h2, … or w");

    private static readonly Argument<string> A = Machine("A", "a machine of the lab: h1, h2, … or w");

    private static readonly Argument<string> B = Machine("B", "another");

    private static readonly Argument<string> VmAtHost = new("VM@HOST") { Description = "a VM and the host on which to strike it" };

    internal static readonly Option<string?> Qemu = new("--qemu") { Description = "the QEMU of every host; default: qemu-system-x86_64 in PATH", HelpName = "file" };

    /// <summary>Hosts have directories of their own, so the path must be whole.</summary>
    internal static string? QemuOf(Invocation invocation) => invocation.Get(Qemu) is not { } file ? null
        : File.Exists(file) ? Path.GetFullPath(file) : throw new PolluxException($"there is no file {file}", "name the QEMU binary, or a script that starts it");

    internal static Command Create()
    {
        return new Command("lab", "Run a cluster on this machine, in namespaces, and do harm to it. Needs root.")
        {
            Name,
            Up(), Down(), Status(), Exec(), PowerOn(),
            Fault("power-off", "Cut a host's cables, then kill all of it: nothing of it is heard again", h => new LabFault.PowerOff(h)),
            Fault("freeze", "Stop every process of a host where it is; its kernel still acknowledges TCP", h => new LabFault.Freeze(h)),
            Fault("thaw", "End a freeze", h => new LabFault.Thaw(h)),
            Cut(), Heal(), Slow(), Loss(),
            Fault("etcd-down", "Kill a host's etcd and keep it from being started again", h => new LabFault.EtcdDown(h)),
            Fault("etcd-up", "Let a host's etcd start again", h => new LabFault.EtcdUp(h)),
            Fault("kill-agent", "Kill a host's agent; it is started again within a second", h => new LabFault.KillAgent(h)),
            VmFault("kill-qemu", "Kill a VM's QEMU on a host", (vm, h) => new LabFault.KillQemu(vm, h)),
            VmFault("break-channel", "Break the channel by which a protected VM's QEMU hands over its checkpoints", (vm, h) => new LabFault.BreakChannel(vm, h)),
            VmFault("kill-keeper", "Kill a VM's keeper on a host", (vm, h) => new LabFault.KillKeeper(vm, h)),
            TortureCommand.Create(Name),
        }.WithExamples(
            "pollux lab up --hosts 2",
            "pollux lab exec h1 -- pollux vm list",
            "pollux lab power-off h1",
            "pollux lab cut h1 h2",
            "pollux lab kill-qemu web@h2 --name second",
            "pollux lab down");
    }

    private static Command Up()
    {
        var hosts = new Option<int>("--hosts") { Description = "how many data hosts; with 2 comes a witness 'w'", DefaultValueFactory = _ => 2 };
        var noAgents = new Option<bool>("--no-agents") { Description = "hosts and etcd alone", Hidden = true };
        var command = new Command("up", "Build the lab, or power on what is off in it; ready when everything answers") { hosts, Qemu, noAgents };
        command.WithExamples("pollux lab up", "pollux lab up --hosts 3 --name second").Does(async invocation =>
        {
            var name = LabName.Choose(invocation.Get(Name));
            var progress = new ProgressLines(invocation);
            var lab = await LabCluster.UpAsync(name, new LabOptions(invocation.Get(hosts), !invocation.Get(noAgents), QemuOf(invocation)), progress, invocation.Cancellation);
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
                throw new PolluxException($"lab '{name}' is not up, but exists in part: {string.Join(", ", left)}", $"pollux lab down{name.AsOption}");
            }
            await ShowAsync(LabCluster.Open(name), invocation);
        });
        return command;
    }

    private static Command Exec()
    {
        var where = new Argument<string>("HOST") { Description = "a host of the lab, or client or switch" };
        var words = new Argument<string[]>("COMMAND") { Arity = ArgumentArity.OneOrMore };
        var exec = new Command("exec", "Run a command inside a host, with the lab's programs in its PATH") { where, words };
        exec.WithExamples("pollux lab exec h1 -- pollux vm list", "pollux lab exec client -- busybox nc 10.78.0.10 6379", "pollux lab exec switch -- tcpdump -ni lan").Does(async invocation =>
        {
            var (at, command) = (invocation.Get(where), invocation.Get(words));
            var start = LabCluster.Open(LabName.Choose(invocation.Get(Name))).EnterCommand(at, command);
            if (!LabExec.CanRun(start, command[0]))
            {
                ErrorReport.Write(invocation.Arguments, $"there is no program {command[0]} for {at}", "it is looked for in the lab's bin and in PATH");
                return LabExec.NoSuchProgram;
            }
            return await LabExec.RunAsync(start);
        });
        return exec.HearingSignals();
    }

    private static Command PowerOn()
    {
        var noWait = new Option<bool>("--no-wait") { Description = "return when its services answer, though its lease may not be alive yet" };
        var command = new Command("power-on", "Start a host that was powered off: empty memory, the same disk; ready when it counts as alive") { Host, noWait };
        command.WithExamples("pollux lab power-on h1").Does(async invocation =>
        {
            var lab = LabCluster.Open(LabName.Choose(invocation.Get(Name)));
            await invocation.SayingAsync(
                $"{invocation.Get(Host)} boots", lab.PowerOnAsync(invocation.Get(Host), invocation.Cancellation, untilAlive: !invocation.Get(noWait)));
        });
        return command;
    }

    private static Command Cut()
    {
        var oneWay = new Option<bool>("--one-way") { Description = "only what A sends to B is dropped" };
        var command = new Command("cut", "Drop in silence what two machines send each other on the cluster's network") { A, B, oneWay };
        command.WithExamples("pollux lab cut h1 h2", "pollux lab cut h1 w --one-way")
            .Does(async i => Say(i, await Opened(i).Wires.CutAsync(i.Get(A), i.Get(B), i.Get(oneWay), i.Cancellation)));
        return command;
    }

    private static Command Slow()
    {
        var mbit = new Option<int>("--mbit") { Description = "Mbit/s that pass, each way for itself; 1 to 10000", Required = true };
        var fifo = new Option<bool>("--fifo") { Description = "one queue for all frames; otherwise those marked as network control (heartbeats) go first" };
        var command = new Command("slow", "Slow down what two machines send each other on the cluster's network") { A, B, mbit, fifo };
        command.WithExamples("pollux lab slow h1 h2 --mbit 50").Does(async i =>
            Say(i, await Opened(i).Wires.SlowAsync(i.Get(A), i.Get(B), i.Get(mbit), i.Get(fifo), i.Cancellation)));
        return command;
    }

    private static Command Loss()
    {
        var percent = new Option<double>("--percent") { Description = "how many frames of a hundred are lost, each way for itself; 0.01 to 100", Required = true };
        var command = new Command("loss", "Lose, at random, some of what two machines send each other on the cluster's network") { A, B, percent };
        command.WithExamples("pollux lab loss h1 h2 --percent 5").Does(async i => Say(i, await Opened(i).Wires.LoseAsync(i.Get(A), i.Get(B), i.Get(percent), i.Cancellation)));
        return command;
    }

    private static Command Heal()
    {
        var pair = new Argument<string[]>("A B") { Description = "two machines; none: every wire", Arity = new ArgumentArity(0, 2), HelpName = "A B", DefaultValueFactory = _ => [] };
        pair.CompletionSources.Add(_ => Completions.LabMachines());
        var command = new Command("heal", "End cut, slow and loss between two machines, or everywhere") { pair };
        command.WithExamples("pollux lab heal", "pollux lab heal h1 h2").Does(async i => Say(i, i.Get(pair) switch
        {
            [] => await Opened(i).Wires.HealAsync(i.Cancellation),
            [var a, var b] => await Opened(i).Wires.HealAsync(a, b, i.Cancellation),
            _ => throw new PolluxException("one machine has no wire by itself", "name two machines, or none for every wire"),
        }));
        return command;
    }

    private static LabCluster Opened(Invocation invocation) => LabCluster.Open(LabName.Choose(invocation.Get(Name)));

    private static Argument<string> Machine(string name, string description)
    {
        var argument = new Argument<string>(name) { Description = description, HelpName = name };
        argument.CompletionSources.Add(_ => Completions.LabMachines());
        return argument;
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
        Say(invocation, prepared.Strike());
        return Task.CompletedTask;
    }

    private static void Say(Invocation invocation, StruckFault fault) =>
        invocation.Result(fault, LabCommandJson.Default.StruckFault, (console, struck) => console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{struck.Fault} {struck.Host} at {struck.UnixMs:0.000} ms (Unix time), in {struck.TookMs:0.000} ms")));

    private static async Task ShowAsync(LabCluster lab, Invocation invocation) => invocation.Result(
        await lab.StatusAsync(invocation.Cancellation), LabCommandJson.Default.IReadOnlyListHostStatus, (console, hosts) =>
        {
            var table = new Table().Border(TableBorder.Simple).AddColumns("host", "address", "power", "etcd", "agent", "keepers", "QEMUs", "faults", "logs");
            foreach (var h in hosts)
            {
                table.AddRow($"{h.Host}", h.Address, h.Power, Said(h.Etcd), Said(h.Agent), $"{h.Keepers}", $"{h.Qemus}", Markup.Escape(h.Faults.Count > 0 ? string.Join("; ", h.Faults) : "-"), h.LogDirectory);
            }
            console.Write(table);
        });

    private static string Said(bool? answers) => answers switch { true => "answers", false => "silent", null => "-" };
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StruckFault))]
[JsonSerializable(typeof(IReadOnlyList<HostStatus>))]
internal sealed partial class LabCommandJson : JsonSerializerContext;
