using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux version</c>.</summary>
internal static partial class VersionCommand
{
    internal static Command Create() => new Command("version", "Show this program's version")
        .WithExamples("pollux version", "pollux version --output json")
        .Does(invocation =>
        {
            var version = typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
            invocation.Result(new VersionView(version, RuntimeInformation.FrameworkDescription), VersionJson.Default.VersionView,
                (console, view) => console.WriteLine($"pollux {view.Version} on {view.Runtime}"));
            return Task.CompletedTask;
        });

    internal sealed record VersionView(string Version, string Runtime);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
    [JsonSerializable(typeof(VersionView))]
    internal sealed partial class VersionJson : JsonSerializerContext;
}
