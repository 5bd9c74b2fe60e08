using Pollux.Cli.Commands;

return await PolluxCommand.RunAsync(args);
