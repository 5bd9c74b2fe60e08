using Spectre.Console;

namespace Pollux.Cli.Output;

/// <summary>Standard output and error. Where output is no terminal, lines are not wrapped and carry no colours.</summary>
internal static class Terminal
{
    /// <summary>Wide enough that nothing in a file or pipe is wrapped.</summary>
    private const int WidthOfFile = 4096;

    internal static IAnsiConsole Out { get; } = Open(Console.Out, Console.IsOutputRedirected);

    internal static IAnsiConsole Error { get; } = Open(Console.Error, Console.IsErrorRedirected);

    private static IAnsiConsole Open(TextWriter writer, bool redirected)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect,
            ColorSystem = redirected ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
            Interactive = InteractionSupport.No,
        });
        if (redirected)
        {
            console.Profile.Width = WidthOfFile;
        }

        return console;
    }
}
