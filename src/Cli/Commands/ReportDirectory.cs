using Pollux.Core;

namespace Pollux.Cli.Commands;

/// <summary>Where a benchmark leaves its page, figures and plots.</summary>
internal static class ReportDirectory
{
    /// <summary>Makes it, before the minutes that the benchmark takes.</summary>
    /// <exception cref="PolluxException">It cannot be written.</exception>
    internal static void Require(string? directory)
    {
        if (directory is null)
        {
            return;
        }
        try
        {
            Directory.CreateDirectory(directory);
            var trial = Path.Combine(directory, $".pollux-{Environment.ProcessId}");
            File.WriteAllText(trial, "");
            File.Delete(trial);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PolluxException($"{directory} cannot be written: {e.Message}", "name another with --out", e);
        }
    }

    internal static async Task WriteAsync(string directory, IEnumerable<(string Name, string Content)> files, CancellationToken cancellation)
    {
        foreach (var (name, content) in files)
        {
            await File.WriteAllTextAsync(Path.Combine(directory, name), content, cancellation);
        }
    }
}
