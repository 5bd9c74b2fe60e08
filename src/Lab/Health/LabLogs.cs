using Pollux.Core;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Health;

/// <summary>Copies what a lab's services and keepers wrote, before the lab goes.</summary>
internal static class LabLogs
{
    private const string VmsInside = "run/pollux/vms";

    /// <summary>A directory for each host. What cannot be read is left out: this is for looking at failures.</summary>
    internal static void Save(IEnumerable<LabHost> hosts, string target)
    {
        foreach (var host in hosts)
        {
            var directory = Path.Combine(target, host.Name.Value);
            Copy(host.LogDirectory, directory);
            if (RootOf(host) is { } root && Directory.Exists(Path.Combine(root, VmsInside)))
            {
                foreach (var vm in Directory.GetDirectories(Path.Combine(root, VmsInside)))
                {
                    Copy(vm, Path.Combine(directory, Path.GetFileName(vm)));
                }
            }
        }
    }

    private static string? RootOf(LabHost host)
    {
        try
        {
            return $"/proc/{host.InitProcess()}/root";
        }
        catch (PolluxException)
        {
            return null;
        }
    }

    private static void Copy(string from, string to)
    {
        if (!Directory.Exists(from))
        {
            return;
        }
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from).Where(f => Path.GetExtension(f) is ".log" or ".json"))
        {
            try
            {
                File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
            }
            catch (IOException)
            {
                // It went meanwhile.
            }
        }
    }
}
