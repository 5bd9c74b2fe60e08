using System.Globalization;
using Pollux.Cluster.Configuration;
using Pollux.Core;
using Pollux.Qemu.Spec;

namespace Pollux.Agent.Api;

/// <summary>Whether this host can run a VM: refused before anything is begun.</summary>
internal static class HostReadiness
{
    /// <exception cref="PolluxException">It cannot; says what is missing.</exception>
    public static void Check(VmSpec spec, AgentConfig config)
    {
        foreach (var (what, path) in ((string, string?)[])[("kernel", spec.Kernel), ("initrd", spec.Initrd)])
        {
            if (path is not null && !File.Exists(path))
            {
                throw new PolluxException($"the {what} {path} of {spec.Name} does not exist on {config.Host}", "copy it there, or correct the spec");
            }
        }
        if (!File.Exists("/dev/net/tun") && spec.Nics.Count > 0)
        {
            throw new PolluxException($"{config.Host} has no /dev/net/tun, so {spec.Name} cannot have a network", "load the kernel module: modprobe tun");
        }
        foreach (var nic in spec.Nics.Where(n => !Directory.Exists($"/sys/class/net/{n.Bridge}/bridge")))
        {
            throw new PolluxException($"{config.Host} has no bridge {nic.Bridge}", $"make it: ip link add {nic.Bridge} type bridge");
        }
        RequireMemory(spec, $"{config.RamDirectory} on {config.Host}", new DriveInfo(config.RamDirectory).AvailableFreeSpace);
        RequireMemory(spec, config.Host.Value, AvailableMemoryBytes());
    }

    private static void RequireMemory(VmSpec spec, string where, long freeBytes)
    {
        if (spec.MemoryBytes > freeBytes)
        {
            throw new PolluxException(
                $"{spec.Name} needs {spec.MemoryBytes >> 20} MiB of memory, and {where} has {freeBytes >> 20} MiB left",
                "stop a VM, or give it less memory");
        }
    }

    /// <summary>What the kernel can give without swapping, proc(5).</summary>
    private static long AvailableMemoryBytes()
    {
        var line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }
}
