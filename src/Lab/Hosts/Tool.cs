using System.Diagnostics;
using Pollux.Core;

namespace Pollux.Lab.Hosts;

/// <summary>What a program said, and how it ended.</summary>
public sealed record ToolResult(int ExitCode, string Output, string Errors)
{
    /// <exception cref="PolluxException">The exit code is not zero.</exception>
    public ToolResult Checked(string what) => ExitCode == 0
        ? this
        : throw new PolluxException($"{what} failed with exit code {ExitCode}: {(Errors.Length > 0 ? Errors : Output).Trim()}");
}

/// <summary>Runs system tools such as ip(8) to their end.</summary>
public static class Tool
{
    /// <exception cref="PolluxException">The program cannot be started.</exception>
    public static Task<ToolResult> RunAsync(string program, IEnumerable<string> arguments, string? input = null, CancellationToken cancellation = default) =>
        RunAsync(new ProcessStartInfo(program, arguments), input, cancellation);

    /// <inheritdoc cref="RunAsync(string, IEnumerable{string}, string?, CancellationToken)"/>
    public static async Task<ToolResult> RunAsync(ProcessStartInfo start, string? input, CancellationToken cancellation)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using var process = Start(start);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(cancellation);
            var errors = process.StandardError.ReadToEndAsync(cancellation);
            await WriteAsync(process, input).ConfigureAwait(false);
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
            return new ToolResult(process.ExitCode, await output.ConfigureAwait(false), await errors.ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    /// <summary>Runs a batch of ip(8) commands, one a line, inside a network namespace (null: the own).</summary>
    public static async Task IpAsync(string? networkNamespace, string commands, CancellationToken cancellation = default)
    {
        IEnumerable<string> arguments = networkNamespace is null ? ["-batch", "-"] : ["-n", networkNamespace, "-batch", "-"];
        var result = await RunAsync("ip", arguments, commands + "\n", cancellation).ConfigureAwait(false);
        result.Checked($"ip {string.Join(' ', arguments)}");
    }

    internal static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start) ?? throw new PolluxException($"{start.FileName} did not start");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new PolluxException($"{start.FileName} cannot be run: {e.Message}", "run eng/setup.sh", e);
        }
    }

    private static async Task WriteAsync(Process process, string? input)
    {
        try
        {
            if (input is not null)
            {
                await process.StandardInput.WriteAsync(input).ConfigureAwait(false);
            }
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading; its exit code says why.
        }
    }
}
