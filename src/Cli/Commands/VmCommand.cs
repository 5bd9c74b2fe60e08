using System.CommandLine;
using System.Text.Json.Serialization;
using Pollux.Cli.Output;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Qemu.Spec;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux vm …</c>: everything a person does with VMs, through any host's agent.</summary>
internal static class VmCommand
{
    private const long LargestSpecBytes = 256 << 10;
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(200);

    private static readonly Argument<string> Vm = new("NAME") { Description = "the VM", CompletionSources = { Completions.Vms } };

    internal static Command Create() => new("vm", "Define, run and protect VMs")
    {
        Define(), Start(), Stop(), List(), Show(), Protect(), Unprotect(), TakeOver(), MigrateCommand.Create(Vm), Set(), Delete(),
    };

    private static Command Define()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "the VM's spec, YAML" };
        var on = HostOption("--on", "its home: where it starts first; default: the asked host");
        var standby = HostOption("--standby", "where its standby shall be, if possible");
        return new Command("define", "Make a VM known to the cluster; it does not start yet") { file, on, standby }
            .WithExamples("pollux vm define redis.yaml", "pollux vm define redis.yaml --on h1 --standby h2")
            .Does(async invocation =>
            {
                var path = invocation.Get(file).FullName;
                var spec = VmSpecReader.Read(ReadText(path), path);
                using var agent = Agent(invocation);
                var request = new DefineRequest(VmSpecWriter.Write(spec), Host(invocation, on), Host(invocation, standby));
                VmTables.Write(invocation, await agent.DefineAsync(request, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
            });
    }

    private static Command Start() => new Command("start", "Start a VM, and wait until its guest runs") { Vm }
        .WithExamples("pollux vm start redis")
        .Does(async invocation =>
        {
            using var agent = Agent(invocation);
            var vm = await agent.StartAsync(Name(invocation), invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
            vm = await UntilAsync(invocation, agent, vm, v => v.State is "running" or "syncing" or "protected" or "holding" or "failing", "start");
            if (vm.State == "failing")
            {
                // Its agent would try for ever; who asked is told instead, and nothing is left half done. What a standby may hold is not thrown away.
                if (vm.Standby is null)
                {
                    await agent.StopAsync(vm.Name, force: true, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
                }
                throw new PolluxException($"{vm.Name} does not start on {vm.Host}: {vm.Note}", "correct the cause, and start it again");
            }
        });

    private static Command Stop()
    {
        var force = new Option<bool>("--force") { Description = "kill it instead of asking its guest to power down" };
        return new Command("stop", "Stop a VM, and wait until it is gone") { Vm, force }
            .WithExamples("pollux vm stop redis", "pollux vm stop redis --force")
            .Does(async invocation =>
            {
                using var agent = Agent(invocation);
                var name = Name(invocation);
                var vm = await invocation.SayingAsync(
                    invocation.Get(force) ? $"ending {name}" : $"the guest of {name} was asked to power down",
                    agent.StopAsync(name, invocation.Get(force), invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
                await UntilAsync(invocation, agent, vm, v => v.State == "stopped", "stop");
            });
    }

    private static Command List() => new Command("list", "List all VMs of the cluster") { Aliases = { "ls" } }
        .WithExamples("pollux vm list", "pollux vm list --output json")
        .Does(async invocation =>
        {
            using var agent = Agent(invocation);
            VmTables.Write(invocation, await agent.VmsAsync(invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
        });

    private static Command Show() => new Command("show", "Show a VM: who runs it, how it is protected, its last takeover") { Vm }
        .WithExamples("pollux vm show redis", "pollux vm show redis --output json")
        .Does(async invocation =>
        {
            using var agent = Agent(invocation);
            VmTables.Write(invocation, await agent.VmAsync(Name(invocation), invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
        });

    private static Command Protect()
    {
        var on = HostOption("--on", "the standby's host; default: the agent chooses");
        return new Command("protect", "Give a running VM a hot standby on another host, and wait until it is protected") { Vm, on }
            .WithExamples("pollux vm protect redis", "pollux vm protect redis --on h2")
            .Does(async invocation =>
            {
                using var agent = Agent(invocation);
                var vm = await agent.ProtectAsync(Name(invocation), Host(invocation, on), invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
                await UntilAsync(invocation, agent, vm, v => v.State == "protected", "protect");
            });
    }

    private static Command Unprotect() => new Command("unprotect", "Let a VM run alone again") { Vm }
        .WithExamples("pollux vm unprotect redis")
        .Does(async invocation =>
        {
            using var agent = Agent(invocation);
            var vm = await agent.UnprotectAsync(Name(invocation), invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
            await UntilAsync(invocation, agent, vm, v => v.State is "running" or "stopped", "unprotect");
        });

    private static Command TakeOver() => new Command("takeover", "Let the standby run a protected VM from now on; nothing is lost") { Vm }
        .WithExamples("pollux vm takeover redis")
        .Does(async invocation =>
        {
            using var agent = Agent(invocation);
            var name = Name(invocation);
            var vm = await invocation.SayingAsync($"the standby of {name} was asked to take over", agent.TakeOverAsync(name, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
            await UntilAsync(invocation, agent, vm, v => v.State is "running" or "syncing" or "protected", "takeover");
        });

    private static Command Set()
    {
        var trigger = new Option<string?>("--trigger") { Description = "when to checkpoint: periodic, on-output or adaptive" };
        trigger.AcceptOnlyFromAmong("periodic", "on-output", "adaptive");
        var transmission = new Option<string?>("--transmission") { Description = "postponed: ship while the guest runs; synchronous: while it waits" };
        transmission.AcceptOnlyFromAmong("postponed", "synchronous");
        var interval = Milliseconds("--interval", "the longest run of the guest between two checkpoints", FaultToleranceRanges.Interval);
        var floor = Milliseconds("--floor", "adaptive: the shortest run between two checkpoints", FaultToleranceRanges.Floor);
        var detection = Milliseconds("--detection", "silence after which the other side counts as dead", FaultToleranceRanges.Detection);
        var compression = new Option<string?>("--compression") { Description = "of what goes to the standby: auto (where it pays), always or never" };
        compression.AcceptOnlyFromAmong("auto", "always", "never");
        return new Command("set", "Change how a running VM is protected, until it is stopped") { Vm, trigger, transmission, interval, floor, detection, compression }
            .WithExamples("pollux vm set redis --trigger on-output", "pollux vm set redis --interval 50 --floor 5")
            .Does(async invocation =>
            {
                var settings = new ProtectionSettings(
                    invocation.Get(trigger), invocation.Get(transmission), invocation.Get(interval), invocation.Get(floor), invocation.Get(detection),
                    invocation.Get(compression));
                if (settings == new ProtectionSettings())
                {
                    throw new PolluxException("nothing to set", "see pollux vm set --help");
                }
                using var agent = Agent(invocation);
                VmTables.Write(invocation, await agent.SetAsync(Name(invocation), settings, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
            });
    }

    private static Command Delete() => new Command("delete", "Forget a stopped VM") { Vm }
        .WithExamples("pollux vm delete redis")
        .Does(async invocation =>
        {
            using var agent = Agent(invocation);
            var name = Name(invocation);
            await agent.DeleteAsync(name, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
            invocation.Result(new DeletedView(name), VmCommandJson.Default.DeletedView, (console, _) => console.WriteLine($"{name} is deleted: its spec, its role and its place are forgotten; its events stay"));
        });

    /// <summary>Waits for an outcome, says what happens meanwhile, and shows the VM at the end.</summary>
    private static async Task<VmDocument> UntilAsync(Invocation invocation, AgentClient agent, VmDocument vm, Func<VmDocument, bool> reached, string what)
    {
        var within = invocation.TimeoutOr(AnswerWithin);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(invocation.Cancellation);
        patience.CancelAfter(within);
        var said = "";
        try
        {
            while (!reached(vm))
            {
                var now = vm.Note.Length == 0 ? vm.State : $"{vm.State}: {vm.Note}";
                if (now != said)
                {
                    invocation.Progress(now);
                    said = now;
                }
                await Task.Delay(PollEvery, patience.Token);
                vm = await agent.VmAsync(vm.Name, within, patience.Token);
            }
        }
        catch (OperationCanceledException) when (!invocation.Cancellation.IsCancellationRequested)
        {
            throw new PolluxException($"{what} is not done after {within.TotalSeconds:0.#} s: {vm.Name} is {said}", what == "protect" ? $"it goes on being tried; ask 'pollux doctor {vm.Name}' why" : "it goes on being tried; look with 'pollux vm show'");
        }
        if (vm.State != "failing")
        {
            VmTables.Write(invocation, vm);
        }
        return vm;
    }

    private static AgentClient Agent(Invocation invocation) => AgentClient.Local(invocation.Socket);

    private static VmName Name(Invocation invocation) => VmName.Create(invocation.Get(Vm));

    private static Option<string?> HostOption(string name, string description) =>
        new(name) { Description = description, HelpName = "host", CompletionSources = { Completions.Hosts } };

    private static HostId? Host(Invocation invocation, Option<string?> option) => invocation.Get(option) is { } host ? HostId.Create(host) : null;

    private static Option<int?> Milliseconds(string name, string description, MsRange range) =>
        new(name) { Description = $"{description}, {range.Least} to {range.Most} ms", HelpName = "ms" };

    private static string ReadText(string path)
    {
        if (!File.Exists(path))
        {
            throw new PolluxException(Directory.Exists(path) ? $"{path} is a directory" : $"there is no file {path}", "name the VM's spec, YAML");
        }
        try
        {
            return new FileInfo(path).Length <= LargestSpecBytes
                ? File.ReadAllText(path)
                : throw new PolluxException($"{path} has more than {LargestSpecBytes >> 10} KiB", "name the VM's spec, YAML");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PolluxException($"{path} cannot be read: {e.Message}", "check its rights", e);
        }
    }
}

/// <summary>What was deleted.</summary>
internal sealed record DeletedView(VmName Deleted);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DeletedView))]
internal sealed partial class VmCommandJson : JsonSerializerContext;
