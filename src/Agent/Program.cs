using System.Reflection;
using Pollux.Agent;
using Pollux.Cluster.Configuration;
using Pollux.Core;

const string usage = """
    polluxd [--config FILE]

    The agent of a host: keeps the host's lease, starts keepers where the store says so, and answers the pollux command.
    Restarting it harms no VM.

      --config FILE   its configuration (default /etc/pollux/agent.yaml)
      --version       show the version
      --help          show this text
    """;

switch (args)
{
    case ["--help" or "-h"]:
        Console.WriteLine(usage);
        return 0;
    case ["--version"]:
        Console.WriteLine(typeof(AgentProcess).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion);
        return 0;
    case [] or ["--config", _]:
        var log = new StandardError();
        try
        {
            await AgentProcess.RunAsync(AgentConfig.Read(args is [_, var file] ? file : AgentConfig.DefaultFile), log);
            return 0;
        }
        catch (PolluxException e)
        {
            log.Say($"error: {e.Message}");
            return 1;
        }
    default:
        Console.Error.WriteLine(usage);
        return 2;
}
