using System.CommandLine;
using Pollux.Cli.Output;

namespace Pollux.Cli.Commands;

/// <summary>Options that every command takes.</summary>
internal static class GlobalOptions
{
    internal static readonly Option<OutputFormat> Output = new("--output", "-o")
    {
        Description = "table for people, the default; json for programs",
        Recursive = true,
        HelpName = "table|json",
    };

    internal static readonly Option<double?> Timeout = new("--timeout")
    {
        Description = "seconds to wait for the outcome; afterwards the command fails, though what was begun may go on",
        Recursive = true,
        HelpName = "seconds",
    };

    internal static readonly Option<string> Socket = new("--socket")
    {
        Description = "the agent's socket",
        Recursive = true,
        HelpName = "path",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("POLLUX_SOCKET") is { Length: > 0 } path ? path : "/run/pollux/polluxd.sock",
    };

    static GlobalOptions()
    {
        Timeout.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !(double.TryParse(token.Value, out var seconds) && seconds > 0))
            {
                result.AddError($"'{token.Value}' is not a number of seconds above 0");
            }
        });
    }
}
