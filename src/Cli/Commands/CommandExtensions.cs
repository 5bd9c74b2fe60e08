using System.CommandLine;
using System.Runtime.CompilerServices;
using Pollux.Cli.Output;
using Pollux.Core;

namespace Pollux.Cli.Commands;

/// <summary>How a command is given its work and its examples.</summary>
internal static class CommandExtensions
{
    private static readonly ConditionalWeakTable<Command, string[]> Examples = [];

    private static readonly ConditionalWeakTable<Command, object> Hearing = [];

    /// <summary>INT and TERM are the command's own business: its work is not cancelled.</summary>
    internal static Command HearingSignals(this Command command)
    {
        Hearing.AddOrUpdate(command, command);
        return command;
    }

    internal static bool HearsSignals(Command command) => Hearing.TryGetValue(command, out _);

    /// <summary>Lines for the end of the command's help, each a whole command line.</summary>
    internal static Command WithExamples(this Command command, params string[] examples)
    {
        Examples.AddOrUpdate(command, examples);
        return command;
    }

    internal static IReadOnlyList<string> ExamplesOf(Command command) => Examples.TryGetValue(command, out var examples) ? examples : [];

    /// <summary>The work of a command that has no failure but exceptions: 0 when it returns.</summary>
    internal static Command Does(this Command command, Func<Invocation, Task> work) => command.Does(async invocation =>
    {
        await work(invocation).ConfigureAwait(false);
        return PolluxCommand.Done;
    });

    /// <summary>
    /// The work of a command, which returns its exit code. A <see cref="PolluxException"/> becomes one sentence on standard
    /// error and exit code 1; an interrupt becomes 130.
    /// </summary>
    internal static Command Does(this Command command, Func<Invocation, Task<int>> work)
    {
        command.SetAction(async (parsed, cancellation) =>
        {
            try
            {
                return await work(new Invocation(parsed, cancellation)).ConfigureAwait(false);
            }
            catch (PolluxException e)
            {
                ErrorReport.Write(parsed, e.Problem, e.NextStep);
                return PolluxCommand.Failed;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                ErrorReport.Write(parsed, e.Message, null);
                return PolluxCommand.Failed;
            }
            catch (OperationCanceledException e) when (cancellation.IsCancellationRequested)
            {
                ErrorReport.Write(parsed, "interrupted", e is Interruption { Outcome: var outcome } ? outcome : "what was begun may go on; look at its state");
                return PolluxCommand.Interrupted;
            }
        });
        return command;
    }
}

/// <summary>An interrupt after which it is known what has become of what was begun.</summary>
internal sealed class Interruption(string outcome) : OperationCanceledException(outcome)
{
    internal string Outcome => Message;
}
