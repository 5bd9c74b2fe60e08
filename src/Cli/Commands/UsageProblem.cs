using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Pollux.Cli.Commands;

/// <summary>What is wrong with a command line, in one sentence with the words of the person who typed it.</summary>
internal static class UsageProblem
{
    internal static (string Problem, string NextStep) Of(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var path = string.Join(' ', PathTo(parsed.CommandResult));
        return (Problem(parsed, command, path), $"see {path} --help");
    }

    private static string Problem(ParseResult parsed, Command command, string path)
    {
        if (command.Subcommands.Any(c => !c.Hidden) && command.Action is null)
        {
            var choices = $"choose {OneOf(command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name))}";
            return parsed.UnmatchedTokens is [var word, ..] ? $"{path} has no command '{word}'; {choices}" : $"{path} needs a command; {choices}";
        }
        if (command.Arguments.FirstOrDefault(a => a.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(a) is not { Tokens.Count: > 0 }) is { } missing)
        {
            return missing.Description is { } description ? $"{missing.Name} is missing: {description}" : $"{missing.Name} is missing";
        }
        if (parsed.UnmatchedTokens is [var unknown, ..])
        {
            return unknown.StartsWith('-') ? $"{path} has no option {unknown}" : $"'{unknown}' is more than {path} takes";
        }
        var error = parsed.Errors.FirstOrDefault();
        return error?.SymbolResult is OptionResult option ? OfOption(option, error.Message) : error?.Message.TrimEnd('.') ?? "the command is incomplete";
    }

    /// <summary>The library speaks of types and lists; a validator of ours has said it well already.</summary>
    private static string OfOption(OptionResult result, string message)
    {
        var name = result.Option.Name;
        if (result.Tokens is not [var token, ..])
        {
            return $"{name} needs a value";
        }
        if (!message.StartsWith("Cannot parse", StringComparison.Ordinal) && !message.Contains('\n', StringComparison.Ordinal))
        {
            return message.TrimEnd('.');
        }
        var choices = result.Option.GetCompletions(CompletionContext.Empty).Select(c => c.Label.ToLowerInvariant()).ToList();
        return choices.Count > 0
            ? $"{name} knows no '{token.Value}'; choose {OneOf(choices)}"
            : $"{name} is '{token.Value}', which is no {(double.TryParse(token.Value, CultureInfo.InvariantCulture, out _) ? "whole number of a sensible size" : "number")}";
    }

    private static IEnumerable<string> PathTo(CommandResult result) =>
        result.Parent is CommandResult parent ? [.. PathTo(parent), result.Command.Name] : ["pollux"];

    private static string OneOf(IEnumerable<string> words) =>
        words.ToList() is var list && list.Count > 1 ? $"{string.Join(", ", list[..^1])} or {list[^1]}" : string.Concat(list);
}
