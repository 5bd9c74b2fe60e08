using System.CommandLine.Completions;
using Pollux.Cluster.Api;
using Pollux.Core;
using Pollux.Lab;
using Pollux.Lab.Layout;

namespace Pollux.Cli.Commands;

/// <summary>Names for the shell's completion, asked of the local agent; none when it does not answer quickly.</summary>
internal static class Completions
{
    private static readonly TimeSpan Within = TimeSpan.FromMilliseconds(700);

    internal static IEnumerable<CompletionItem> Vms(CompletionContext context) =>
        Ask(context, async agent => (await agent.VmsAsync(Within, CancellationToken.None)).Select(v => v.Name.Value));

    internal static IEnumerable<CompletionItem> Hosts(CompletionContext context) =>
        Ask(context, async agent => (await agent.HostsAsync(Within, CancellationToken.None)).Select(h => h.Host.Value));

    /// <summary>Of the lab that <c>$POLLUX_LAB</c> names, or of the default one.</summary>
    internal static IEnumerable<CompletionItem> LabMachines()
    {
        try
        {
            return [.. LabCluster.NamesIn(LabName.Choose(null)).Select(n => new CompletionItem(n.Value))];
        }
        catch (PolluxException)
        {
            return [];
        }
    }

    private static IEnumerable<CompletionItem> Ask(CompletionContext context, Func<AgentClient, Task<IEnumerable<string>>> names)
    {
        try
        {
            using var agent = AgentClient.Local(context.ParseResult.GetValue(GlobalOptions.Socket)!);
            return [.. names(agent).GetAwaiter().GetResult().Select(n => new CompletionItem(n))];
        }
        catch (PolluxException)
        {
            return [];
        }
    }
}
