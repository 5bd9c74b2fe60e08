using System.Diagnostics;
using System.Text.Json;
using Pollux.Lab.Layout;
using Pollux.Lab.Tests.Labs;
using Pollux.Linux.Processes;

namespace Pollux.Lab.Tests.Demo;

/// <summary>The demonstration as a newcomer runs it.</summary>
public sealed class DemoTests : IDisposable
{
    private const int Terminate = 15;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(180);
    private readonly string _directory = Directory.CreateTempSubdirectory("pollux-demo-test").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Demo_OfAPowerOff_LosesNothingAndLeavesNothing()
    {
        var file = Path.Combine(_directory, "demo.json");

        using var demo = Start("--seconds", "3", "--json", file);
        var said = await demo.StandardOutput.ReadToEndAsync().WaitAsync(Deadline);
        await demo.WaitForExitAsync();

        Assert.Equal(0, demo.ExitCode);
        Assert.Contains("acknowledged writes lost", said, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(file));
        var root = json.RootElement;
        Assert.Equal("takeover", root.GetProperty("outcome").GetString());
        Assert.True(root.GetProperty("checkpoints").GetProperty("count").GetInt64() > 0);
        Assert.True(root.GetProperty("client").GetProperty("acknowledged").GetInt64() > 0);
        Assert.Equal(0, root.GetProperty("client").GetProperty("lost").GetInt64());
        Assert.True(root.GetProperty("client").GetProperty("connectionSurvived").GetBoolean());
        Assert.True(root.GetProperty("takeover").GetProperty("killToFirstAnswerMs").GetDouble() > 0);
        Assert.Empty(Leftovers.Find(TestLabs.Demo));
    }

    [Theory]
    [InlineData("starting h2")]
    [InlineData("waiting for its Redis")]
    public async Task Demo_Terminated_CleansUpAtOnce(string at)
    {
        using var demo = Start("--seconds", "3");
        await SaidAsync(demo, at);

        ProcessTable.TrySignal(demo.Id, Terminate);
        await demo.WaitForExitAsync().WaitAsync(Deadline);

        Assert.Equal(130, demo.ExitCode);
        Assert.Empty(Leftovers.Find(TestLabs.Demo));
    }

    [Fact]
    public async Task Demo_AfterOneThatWasKilled_CleansAndBegins()
    {
        using (var killed = Start("--seconds", "3"))
        {
            await SaidAsync(killed, "waiting for its Redis");
            killed.Kill();
            await killed.WaitForExitAsync();
        }
        Assert.NotEmpty(Leftovers.Find(TestLabs.Demo));

        using var demo = Start("--seconds", "3");
        await SaidAsync(demo, "waiting for its Redis");
        ProcessTable.TrySignal(demo.Id, Terminate);
        await demo.WaitForExitAsync().WaitAsync(Deadline);

        Assert.Empty(Leftovers.Find(TestLabs.Demo));
    }

    private static Process Start(params string[] options) => Process.Start(new ProcessStartInfo(
        LabPrograms.Find().Cli, ["demo", "--name", TestLabs.Demo.Value, .. options])
    { RedirectStandardOutput = true, RedirectStandardError = true })!;

    private static async Task SaidAsync(Process demo, string words)
    {
        while (await demo.StandardError.ReadLineAsync().WaitAsync(Deadline) is { } line)
        {
            if (line.Contains(words, StringComparison.Ordinal))
            {
                return;
            }
        }
        Assert.Fail($"the demo never said '{words}'");
    }
}
