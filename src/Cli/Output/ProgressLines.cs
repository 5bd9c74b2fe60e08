namespace Pollux.Cli.Output;

/// <summary>Progress as plain lines: a person reads it, a log keeps it.</summary>
internal sealed class ProgressLines(Invocation invocation) : IProgress<string>
{
    public void Report(string value) => invocation.Progress(value);
}
