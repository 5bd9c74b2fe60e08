using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux --version</c>.</summary>
internal sealed class ShortVersion : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        Console.Out.WriteLine($"pollux {VersionCommand.Own}");
        return PolluxCommand.Done;
    }
}

/// <summary><c>pollux version</c>.</summary>
internal static partial class VersionCommand
{
    internal static string Own { get; } = typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    internal static Command Create() => new Command("version", "Show this program's version")
        .WithExamples("pollux version", "pollux version --output json")
        .Does(invocation =>
        {
            invocation.Result(new VersionView(Own, RuntimeInformation.FrameworkDescription), VersionJson.Default.VersionView,
                (console, view) => console.WriteLine($"pollux {view.Version} on {view.Runtime}"));
            return Task.CompletedTask;
        });

    internal sealed record VersionView(string Version, string Runtime);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
    [JsonSerializable(typeof(VersionView))]
    internal sealed partial class VersionJson : JsonSerializerContext;
}
