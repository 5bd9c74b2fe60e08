using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Pollux.Cli.Output;

namespace Pollux.Cli.Commands;

/// <summary>
/// The command <c>pollux</c>: everything a person can ask for. Exit codes: 0 done, 1 refused or failed, 2 wrong usage,
/// 130 interrupted. Results go to standard output, progress and errors to standard error.
/// </summary>
internal static class PolluxCommand
{
    internal const int Done = 0;
    internal const int Failed = 1;
    internal const int Usage = 2;
    internal const int Interrupted = 130;

    /// <summary>After INT or TERM a command may take so long to clean up, then the process ends.</summary>
    private static readonly TimeSpan CleaningUp = TimeSpan.FromSeconds(30);

    internal static RootCommand Create()
    {
        var root = new RootCommand("Pollux keeps virtual machines running when the machines under them fail.")
        {
            GlobalOptions.Output,
            GlobalOptions.Timeout,
            GlobalOptions.Socket,
            DemoCommand.Create(),
            VmCommand.Create(),
            HostCommand.Create(),
            EventsCommand.Create(),
            DoctorCommand.Create(),
            LabCommand.Create(),
            BenchCommand.Create(),
            VersionCommand.Create(),
            CompletionCommand.Create(),
        };
        // `pollux version` says more, in either format.
        root.Options.OfType<VersionOption>().Single().Action = new ShortVersion();
        foreach (var help in root.Options.OfType<HelpOption>())
        {
            help.Action = new HelpWithExamples((HelpAction)help.Action!);
            // Of another system's habits; completion would offer them.
            help.Aliases.Remove("/?");
            help.Aliases.Remove("/h");
            help.Aliases.Remove("-?");
        }

        return root;
    }

    /// <summary>An argument that begins with '@' is a word like any other.</summary>
    internal static ParseResult Parse(IReadOnlyList<string> arguments) =>
        Create().Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });

    internal static async Task<int> RunAsync(IReadOnlyList<string> arguments)
    {
        var parsed = Parse(arguments);
        if (parsed.Action is ParseErrorAction)
        {
            var (problem, nextStep) = UsageProblem.Of(parsed);
            ErrorReport.Write(parsed, problem, nextStep);
            return Usage;
        }

        return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = CommandExtensions.HearsSignals(parsed.CommandResult.Command) ? null : CleaningUp })
            .ConfigureAwait(false);
    }
}
