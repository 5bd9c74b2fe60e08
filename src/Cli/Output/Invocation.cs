using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cli.Commands;
using Spectre.Console;

namespace Pollux.Cli.Output;

/// <summary>How results are written.</summary>
internal enum OutputFormat
{
    Table,
    Json,
}

/// <summary>One run of a command: its arguments, and where its words go.</summary>
internal sealed class Invocation(ParseResult arguments, CancellationToken cancellation)
{
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(300);

    internal ParseResult Arguments { get; } = arguments;

    /// <summary>Cancelled when the person interrupts.</summary>
    internal CancellationToken Cancellation { get; } = cancellation;

    internal OutputFormat Output { get; } = arguments.GetValue(GlobalOptions.Output);

    /// <summary>What the person allows, or the command's own default.</summary>
    internal TimeSpan TimeoutOr(TimeSpan usual) => Arguments.GetValue(GlobalOptions.Timeout) is { } seconds ? TimeSpan.FromSeconds(seconds) : usual;

    internal string Socket => Arguments.GetValue(GlobalOptions.Socket)!;

    internal T Get<T>(Argument<T> argument) => Arguments.GetRequiredValue(argument);

    internal T? Get<T>(Option<T> option) => Arguments.GetValue(option);

    /// <summary>The result: as JSON, or for people as <paramref name="table"/> writes it.</summary>
    internal void Result<T>(T value, JsonTypeInfo<T> type, Action<IAnsiConsole, T> table)
    {
        if (Output == OutputFormat.Json)
        {
            Console.Out.WriteLine(JsonSerializer.Serialize(value, type));
        }
        else
        {
            table(Terminal.Out, value);
        }
    }

    /// <summary>Waits for <paramref name="work"/>, and says <paramref name="what"/> it is when it takes longer than a moment.</summary>
    internal async Task SayingAsync(string what, Task work)
    {
        if (await Task.WhenAny(work, Task.Delay(Moment, Cancellation)).ConfigureAwait(false) != work && !Cancellation.IsCancellationRequested)
        {
            Progress(what);
        }
        await work.ConfigureAwait(false);
    }

    /// <inheritdoc cref="SayingAsync(string, Task)"/>
    internal async Task<T> SayingAsync<T>(string what, Task<T> work)
    {
        await SayingAsync(what, (Task)work).ConfigureAwait(false);
        return await work.ConfigureAwait(false);
    }

    /// <summary>A line about long work, to standard error; an object with <c>--output json</c>, as a failure is.</summary>
    internal void Progress(string what)
    {
        if (Output == OutputFormat.Json)
        {
            Console.Error.WriteLine(JsonSerializer.Serialize(new ProgressObject(what), ErrorStreamJson.Default.ProgressObject));
        }
        else
        {
            Terminal.Error.MarkupLineInterpolated($"[grey]… {what}[/]");
        }
    }
}
