using System.CommandLine;
using System.Globalization;
using System.Text;
using Pollux.Cli.Output;
using Pollux.Cluster.Api;
using Pollux.Cluster.Events;
using Pollux.Core;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux events</c>: what happened in the cluster and why, as its hosts tell it.</summary>
internal static class EventsCommand
{
    private const int ShownMost = 1000;
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FollowEvery = TimeSpan.FromMilliseconds(500);

    /// <summary>How late a host may tell of something and still be heard by who follows: its clock may be behind, or it was out of reach.</summary>
    private static readonly TimeSpan FollowBack = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan UsualSpan = TimeSpan.FromHours(24);

    private static readonly Argument<string?> Vm = new("VM")
    {
        Description = "only what is about this VM", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => null, CompletionSources = { Completions.Vms },
    };

    private static readonly Option<bool> Follow = new("--follow", "-f") { Description = "go on as things happen, until interrupted" };

    private static readonly Option<string?> Since = new("--since")
    {
        Description = "from when: 30s, 10m, 2h or 7d ago, or a time as 2026-11-21T10:00 (UTC); default: 24h, with --follow: now",
        HelpName = "time",
    };

    internal static Command Create()
    {
        Since.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && EventTime.TryRead(token.Value, DateTimeOffset.UtcNow) is null)
            {
                result.AddError($"--since is '{token.Value}', which is no time; write 30s, 10m, 2h or 7d, or 2026-11-21T10:00");
            }
        });
        return new Command("events", "Tell what happened and why, on all hosts; with --output json one object a line") { Vm, Follow, Since }
            .WithExamples("pollux events", "pollux events redis --since 10m", "pollux events --follow", "pollux events --follow --output json")
            .Does(RunAsync);
    }

    private static async Task RunAsync(Invocation invocation)
    {
        using var agent = AgentClient.Local(invocation.Socket);
        var vm = invocation.Get(Vm) is { } name ? VmName.Create(name).Value : null;
        var follow = invocation.Get(Follow);
        var now = DateTimeOffset.UtcNow;
        var from = invocation.Get(Since) is { } text ? EventTime.TryRead(text, now)!.Value : follow ? now : now - UsualSpan;
        var teller = new Teller(invocation);
        var document = await agent.EventsAsync(from.ToUnixTimeMilliseconds(), vm, ShownMost, false, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation);
        teller.Tell(document);
        if (!follow && document.Events.Count == 0)
        {
            invocation.Progress($"nothing happened since {EventTime.Write(from)}");
        }
        while (follow && !invocation.Cancellation.IsCancellationRequested)
        {
            await Task.Delay(FollowEvery, invocation.Cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            var back = DateTimeOffset.UtcNow - FollowBack;
            await ContinueAsync(agent, teller, back > from ? back : from, vm, invocation);
        }
    }

    /// <summary>The agent may be started anew meanwhile; what it then tells is none the less.</summary>
    private static async Task ContinueAsync(AgentClient agent, Teller teller, DateTimeOffset from, string? vm, Invocation invocation)
    {
        try
        {
            teller.Tell(await agent.EventsAsync(from.ToUnixTimeMilliseconds(), vm, ShownMost, false, invocation.TimeoutOr(AnswerWithin), invocation.Cancellation));
        }
        catch (PolluxException e)
        {
            teller.Complain(e.Problem);
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            // Interrupted: how following ends.
        }
    }

    /// <summary>Writes each event once, and each complaint once until another one.</summary>
    private sealed class Teller(Invocation invocation)
    {
        private readonly HashSet<ClusterEventKey> _told = [];
        private string _complaint = "";

        public void Tell(EventsDocument document)
        {
            foreach (var e in document.Events.Where(e => _told.Add(ClusterEventKey.Of(e))))
            {
                Write(e);
            }
            // What is older than any answer goes back to is not asked for again.
            _told.RemoveWhere(k => k.Time < DateTimeOffset.UtcNow - FollowBack - FollowBack);
            Complain(string.Join("; ", document.Silent.Select(s => $"the events of {s.Host} are missing: {s.Why}")
                .Concat(document.IsCut ? [$"there are more; these are the last {ShownMost}"] : [])));
        }

        public void Complain(string what)
        {
            if (what != _complaint && what.Length > 0)
            {
                invocation.Progress(what);
            }
            _complaint = what;
        }

        private void Write(ClusterEvent e)
        {
            if (invocation.Output == OutputFormat.Json)
            {
                Console.Out.WriteLine(Encoding.UTF8.GetString(e.ToLine()));
                return;
            }
            var colour = e.Weight switch { EventWeight.Alarm => "red", EventWeight.Warning => "yellow", _ => "default" };
            Terminal.Out.MarkupLineInterpolated(CultureInfo.InvariantCulture,
                $"[grey]{EventTime.Write(e.Time)}[/]  {e.Host.Value,-4}  {e.Vm?.Value ?? "-",-8}   [{colour}]{e.Kind,-16}[/] {e.Text}");
        }
    }

    /// <summary>The same event in two answers.</summary>
    private readonly record struct ClusterEventKey(DateTimeOffset Time, HostId Host, VmName? Vm, string Kind, string Text)
    {
        public static ClusterEventKey Of(ClusterEvent e) => new(e.Time, e.Host, e.Vm, e.Kind, e.Text);
    }
}
