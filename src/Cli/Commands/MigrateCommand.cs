using System.CommandLine;
using Pollux.Cli.Output;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Migration.Policies;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux vm migrate</c>.</summary>
internal static class MigrateCommand
{
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan SayEvery = TimeSpan.FromSeconds(1);

    /// <summary>After the deadline a keeper has given up; a little longer, and it is told here.</summary>
    private static readonly TimeSpan BeyondDeadline = TimeSpan.FromSeconds(30);

    internal static Command Create(Argument<string> vm)
    {
        var to = new Option<string?>("--to") { Description = "the host to which it shall move", HelpName = "host", CompletionSources = { Completions.Hosts } };
        var policy = new Option<string?>("--policy") { Description = $"when the guest is stopped for the rest: {string.Join(", ", MigrationPolicies.Names)}; default {MigrationPolicies.Default}, the others are for comparison", HelpName = "policy" };
        policy.AcceptOnlyFromAmong([.. MigrationPolicies.Names]);
        var maxPause = Number("--max-pause", $"the longest that the guest shall stand still, ms: aimed at, and said when it was longer; default {MigrationSettings.DefaultMaxPauseMs}", "ms");
        var deadline = Number("--deadline", $"then it is given up, and the VM runs on where it is, s; default {MigrationSettings.DefaultDeadlineSeconds}", "s");
        var bandwidth = Number("--bandwidth", "the most that goes over the link, MB/s; default: no limit", "MB/s");
        var whenLonger = new Option<string?>("--when-longer") { Description = "when that pause cannot be kept: throttle the guest (default), wait for a quieter moment, or give-up", HelpName = "what" };
        whenLonger.AcceptOnlyFromAmong("throttle", "wait", "give-up");
        var limit = Number("--downtime-limit", "of the policy relaxed: QEMU stops the guest by itself when it believes that the rest takes no longer, ms", "ms");
        var cancel = new Option<bool>("--cancel") { Description = "end the migration under way; the VM runs on where it is" };
        var command = new Command("migrate", "Move a running VM to another host; it stands still for a moment") { vm, to, policy, maxPause, deadline, bandwidth, whenLonger, limit, cancel };
        command.Validators.Add(given =>
        {
            if (given.GetResult(to) is null && (given.GetResult(cancel) is null or { Implicit: true }))
            {
                given.AddError("vm migrate needs --to HOST, one of 'pollux host list'");
            }
        });
        return command
            .WithExamples("pollux vm migrate redis --to h2", "pollux vm migrate redis --to h2 --max-pause 200 --bandwidth 128", "pollux vm migrate redis --cancel")
            .Does(async invocation =>
            {
                var name = VmName.Create(invocation.Get(vm));
                using var agent = AgentClient.Local(invocation.Socket);
                if (invocation.Get(cancel))
                {
                    VmTables.Write(invocation, await agent.CancelMigrationAsync(name, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
                    return;
                }
                var host = HostId.Create(invocation.Get(to)!);
                var settings = new MigrationSettings(
                    invocation.Get(policy), invocation.Get(maxPause), invocation.Get(deadline), invocation.Get(bandwidth) * 1_000_000L, invocation.Get(whenLonger), invocation.Get(limit));
                var within = invocation.TimeoutOr(TimeSpan.FromSeconds(invocation.Get(deadline) ?? MigrationSettings.DefaultDeadlineSeconds) + BeyondDeadline);
                var begun = await agent.MigrateAsync(name, new MigrateRequest(host, settings), AnswerWithin, invocation.Cancellation);
                var moved = await FollowAsync(invocation, agent, begun, host, within);
                VmTables.Write(invocation, moved);
                if (MoveOf(moved)?.PauseMs is { } pause && pause > (settings.MaxPauseMs ?? MigrationSettings.DefaultMaxPauseMs))
                {
                    invocation.Progress($"warning: it stood still for {pause:0} ms, longer than the {settings.MaxPauseMs ?? MigrationSettings.DefaultMaxPauseMs} ms that were allowed: the link, or a host, became slower than it was");
                }
            });
    }

    /// <summary>Until it is over, one way or the other. Ctrl-C ends the migration.</summary>
    private static async Task<VmDocument> FollowAsync(Invocation invocation, AgentClient agent, VmDocument vm, HostId to, TimeSpan within)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(invocation.Cancellation);
        patience.CancelAfter(within);
        var said = DateTime.MinValue;
        try
        {
            while (!(vm.Host == to && vm.State == "running" && MoveOf(vm) is not null))
            {
                if (vm is { State: "running" } && vm.Keepers.FirstOrDefault(k => k.Host == vm.Host)?.Status is { Migration: null })
                {
                    throw new PolluxException($"the move of {vm.Name} is over, and its keeper was replaced meanwhile: it runs on {vm.Host}", $"see 'pollux events {vm.Name}'");
                }
                if (MoveOf(vm) is { } move)
                {
                    if (move.State == MigrationState.Failed)
                    {
                        throw new PolluxException($"{vm.Name} did not move to {to}: {move.Why}", $"it runs on {vm.Host}, unharmed; see 'pollux events {vm.Name}'");
                    }
                    if (move.State == MigrationState.Moving && DateTime.UtcNow - said > SayEvery)
                    {
                        said = DateTime.UtcNow;
                        invocation.Progress(MigrationWords.Progress(move));
                    }
                }
                await Task.Delay(PollEvery, patience.Token);
                vm = await LookAsync(invocation, agent, vm, patience.Token);
            }
            return vm;
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            invocation.Progress("ending the migration");
            var ended = await agent.CancelMigrationAsync(vm.Name, AnswerWithin, CancellationToken.None);
            throw new Interruption($"the migration is ended, and {ended.Name} runs on {ended.Host}, unharmed");
        }
        catch (OperationCanceledException)
        {
            throw new PolluxException($"the move is not over after {within.TotalSeconds:0.#} s", $"it goes on; look with 'pollux vm show {vm.Name}', or end it with 'pollux vm migrate {vm.Name} --cancel'");
        }
    }

    /// <summary>An agent that is started anew meanwhile does not end the move, nor the looking.</summary>
    private static async Task<VmDocument> LookAsync(Invocation invocation, AgentClient agent, VmDocument last, CancellationToken cancellation)
    {
        try
        {
            return await agent.VmAsync(last.Name, AnswerWithin, cancellation);
        }
        catch (PolluxException e) when (e is AgentUnreachableException or OutcomeUnknownException or NoAgentException)
        {
            invocation.Progress($"{e.Problem}; the move goes on, looking again");
            await Task.Delay(SayEvery, cancellation);
            return last;
        }
    }

    private static MigrationStatus? MoveOf(VmDocument vm) => vm.Keepers.FirstOrDefault(k => k.Host == vm.Host)?.Status?.Migration;

    private static Option<int?> Number(string name, string description, string unit) => new(name) { Description = description, HelpName = unit };
}
