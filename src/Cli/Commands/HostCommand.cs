using System.CommandLine;
using Pollux.Cli.Output;
using Pollux.Cluster.Api;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux host …</c>.</summary>
internal static class HostCommand
{
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);

    internal static Command Create() => new("host", "Look at the cluster's hosts")
    {
        new Command("list", "List the hosts that are alive") { Aliases = { "ls" } }
            .WithExamples("pollux host list", "pollux host list --output json")
            .Does(async invocation =>
            {
                using var agent = AgentClient.Local(invocation.Socket);
                invocation.Result(
                    await agent.HostsAsync(invocation.TimeoutOr(AnswerWithin), invocation.Cancellation), ApiJson.Default.IReadOnlyListHostRecord, (console, hosts) =>
                    {
                        var table = new Table().Border(TableBorder.Simple).AddColumns("host", "address", "memory", "QEMU", "accelerator");
                        foreach (var h in hosts)
                        {
                            table.AddRow(h.Host.Value, $"{h.Address}:{h.ApiPort}", $"{h.MemoryBytes >> 30} GiB", h.QemuVersion, h.Accelerator);
                        }
                        console.Write(table);
                    });
            }),
    };
}
