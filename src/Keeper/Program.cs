using System.Reflection;
using System.Text.Json;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper;

const string usage = """
    pollux-keeper --config FILE

    Keeps one VM on this host: its QEMU, its network, its checkpoints. Started by polluxd, which writes FILE
    (keeper.json in the VM's run directory). Ends by itself when nothing is left to do; says why on standard error.

      --config FILE   how to begin
      --version       show the version
      --help          show this text
    """;

switch (args)
{
    case ["--help" or "-h"]:
        Console.WriteLine(usage);
        return 0;
    case ["--version"]:
        Console.WriteLine(typeof(KeeperProcess).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion);
        return 0;
    case ["--config", var file]:
        try
        {
            var config = JsonSerializer.Deserialize(File.ReadAllBytes(file), KeeperJson.Default.KeeperConfig)
                ?? throw new PolluxException($"{file} is empty");
            if (config.RunDirectory is null || config.SpecYaml is null || config.Tls is null || config.EtcdEndpoints is null)
            {
                throw new PolluxException($"{file} lacks members", "it is written by the agent; keepers are not started by hand");
            }
            await KeeperProcess.RunAsync(config, CancellationToken.None);
            return 0;
        }
        catch (Exception e) when (e is PolluxException or IOException or UnauthorizedAccessException or JsonException)
        {
            KeeperLog.Say($"error: {e.Message}");
            return 1;
        }
    default:
        Console.Error.WriteLine(usage);
        return 2;
}
