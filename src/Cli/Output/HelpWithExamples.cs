using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Pollux.Cli.Commands;

namespace Pollux.Cli.Output;

/// <summary>The usual help, followed by the command's examples.</summary>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parsed)
    {
        var status = usual.Invoke(parsed);
        var examples = CommandExtensions.ExamplesOf(parsed.CommandResult.Command);
        if (examples.Count > 0)
        {
            var output = parsed.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach (var example in examples)
            {
                output.WriteLine($"  {example}");
            }

            output.WriteLine();
        }

        return status;
    }
}
