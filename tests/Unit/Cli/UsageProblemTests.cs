using Pollux.Cli.Commands;

namespace Pollux.Unit.Tests.Cli;

/// <summary>Every wrong command line gets one sentence with the word that is wrong, and where to read on.</summary>
public sealed class UsageProblemTests
{
    [Theory]
    [InlineData("", "pollux needs a command; choose ", "pollux")]
    [InlineData("nonsense", "pollux has no command 'nonsense'; choose ", "pollux")]
    [InlineData("vm", "pollux vm needs a command; choose define, ", "pollux vm")]
    [InlineData("vm frobnicate", "pollux vm has no command 'frobnicate'; choose define, ", "pollux vm")]
    [InlineData("completion zsh", "pollux completion has no command 'zsh'; choose bash", "pollux completion")]
    [InlineData("vm define", "FILE is missing: the VM's spec, YAML", "pollux vm define")]
    [InlineData("vm start", "NAME is missing: the VM", "pollux vm start")]
    [InlineData("vm start a b", "'b' is more than pollux vm start takes", "pollux vm start")]
    [InlineData("vm start a --bogus", "pollux vm start has no option --bogus", "pollux vm start")]
    [InlineData("vm set a --interval abc", "--interval is 'abc', which is no number", "pollux vm set")]
    [InlineData("vm set a --trigger never", "--trigger knows no 'never'; choose adaptive, on-output or periodic", "pollux vm set")]
    [InlineData("vm list --output xml", "--output knows no 'xml'; choose json or table", "pollux vm list")]
    [InlineData("vm list --timeout 0", "'0' is not a number of seconds above 0", "pollux vm list")]
    [InlineData("vm migrate redis", "vm migrate needs --to HOST, one of 'pollux host list'", "pollux vm migrate")]
    [InlineData("vm migrate redis --to", "--to needs a value", "pollux vm migrate")]
    [InlineData("lab torture --rounds abc", "--rounds is 'abc', and goes from 1 to 10000", "pollux lab torture")]
    [InlineData("lab torture --each 0", "--each is '0', and goes from 1 to 100", "pollux lab torture")]
    [InlineData("bench migration --runs x", "--runs is 'x', and goes from 1 to 100", "pollux bench migration")]
    [InlineData("vm list --socket", "--socket needs a value", "pollux vm list")]
    [InlineData("lab exec h1", "COMMAND is missing", "pollux lab exec")]
    [InlineData("demo --seconds abc", "--seconds is 'abc', and goes from above 0 to 3600", "pollux demo")]
    [InlineData("demo --repeat 0", "--repeat is '0', and goes from 1 to 100", "pollux demo")]
    [InlineData("demo --fault fire", "--fault knows no 'fire'; choose one of power-off, ", "pollux demo")]
    public void Of_AWrongCommandLine_NamesTheWordAndTheHelp(string line, string problem, string command)
    {
        var parsed = PolluxCommand.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        Assert.NotEmpty(parsed.Errors);
        var said = UsageProblem.Of(parsed);
        Assert.StartsWith(problem, said.Problem, StringComparison.Ordinal);
        Assert.Equal($"see {command} --help", said.NextStep);
    }

    [Fact]
    public void Parse_OfAWordThatBeginsWithAt_TakesItAsItIs()
    {
        Assert.Empty(PolluxCommand.Parse(["lab", "kill-qemu", "@h1"]).Errors);
    }
}
