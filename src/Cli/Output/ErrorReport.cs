using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Cli.Commands;
using Spectre.Console;

namespace Pollux.Cli.Output;

/// <summary>A failure as one sentence with its next step, on standard error; an object with <c>--output json</c>.</summary>
internal static class ErrorReport
{
    internal static void Write(ParseResult arguments, string problem, string? nextStep)
    {
        if (WantsJson(arguments))
        {
            Console.Error.WriteLine(JsonSerializer.Serialize(new ErrorObject(new ErrorDetail(problem, nextStep)), ErrorStreamJson.Default.ErrorObject));
        }
        else
        {
            // Other programs' words, quoted in ours, end with a full stop.
            var sentence = nextStep is null ? problem : $"{problem.TrimEnd('.')}; {nextStep}";
            Terminal.Error.MarkupLineInterpolated($"[red]error:[/] {sentence}");
        }
    }

    /// <summary>Asked even of command lines that could not be read as a whole.</summary>
    private static bool WantsJson(ParseResult arguments) =>
        arguments.GetResult(GlobalOptions.Output) is { Errors: var errors } result && !errors.Any() && result.GetValueOrDefault<OutputFormat>() == OutputFormat.Json;
}

internal sealed record ErrorObject(ErrorDetail Error);

internal sealed record ErrorDetail(string Problem, string? NextStep);

internal sealed record ProgressObject(string Progress);

/// <summary>With <c>--output json</c> each line of standard error is one of these.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ErrorObject))]
[JsonSerializable(typeof(ProgressObject))]
internal sealed partial class ErrorStreamJson : JsonSerializerContext;
