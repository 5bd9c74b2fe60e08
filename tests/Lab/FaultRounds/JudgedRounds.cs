using Xunit.Abstractions;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>What every round must show, whatever the fault.</summary>
internal static class JudgedRounds
{
    /// <summary>
    /// Nothing acknowledged is lost, the client's connection lives, one host at a time speaks for the VM. A round that does not come to its
    /// end leaves the hosts' logs.
    /// </summary>
    internal static async Task<RoundResult> RoundAsync(this ProtectedLab lab, string name, ITestOutputHelper output, Func<Task<RoundResult>> run)
    {
        RoundResult result;
        try
        {
            result = await run();
        }
        catch
        {
            Save(lab, name, output);
            throw;
        }
        output.WriteLine($"{name}: {result}");
        if (Environment.GetEnvironmentVariable("POLLUX_ROUNDS_LOG") is { Length: > 0 } file)
        {
            await File.AppendAllTextAsync(file, $"{name}: {result}\n");
        }
        if (!result.Client.IsClean || !result.Switch.IsClean)
        {
            Save(lab, name, output);
        }
        Assert.True(result.Client.IsClean, $"{result.Client}");
        Assert.True(result.Switch.IsClean, string.Join('\n', result.Switch.Complaints));
        return result;
    }

    private static void Save(ProtectedLab lab, string name, ITestOutputHelper output)
    {
        var logs = Directory.CreateTempSubdirectory("pollux-round-").FullName;
        lab.Cluster.SaveLogs(logs);
        output.WriteLine($"{name}: the hosts' logs are kept in {logs}");
    }
}
