using System.CommandLine;

namespace Pollux.Cli.Commands;

/// <summary><c>pollux completion bash</c>: a script for the shell, which asks the program itself what may follow.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        _pollux() {
            local IFS=$'\n'
            local words
            words=$(pollux "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null | sort -u)
            COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _pollux pollux
        """;

    internal static Command Create() => new Command("completion", "Write a script that lets the shell complete pollux commands")
    {
        new Command("bash", "For bash")
            .WithExamples("source <(pollux completion bash)", "pollux completion bash > /etc/bash_completion.d/pollux")
            .Does(_ =>
            {
                Console.Out.WriteLine(Bash);
                return Task.CompletedTask;
            }),
    };
}
