using System.Globalization;
using Pollux.Core;
using Pollux.Linux.Cgroups;

namespace Pollux.Qemu.Probing;

/// <summary>What a host must have beside a QEMU.</summary>
public static class HostProbe
{
    private const long LeastMemory = 1L << 30;
    private const long LeastRamDirectory = 256L << 20;
    private const string Tun = "/dev/net/tun";

    /// <param name="ramDirectory">Where guests' RAM lies.</param>
    /// <param name="cgroup">The directory below which VMs shall live, as agent.yaml says; null: none is named.</param>
    public static IReadOnlyList<Finding> Look(string ramDirectory, string? cgroup) =>
        [Root(), Memory(), RamDirectory(ramDirectory), TunDevice(), BridgeTool(), Cgroup(cgroup)];

    private static Finding Root() => Environment.IsPrivilegedProcess
        ? new Finding("root", Verdict.Ok, "this runs as root")
        : new Finding("root", Verdict.Missing, "this does not run as root, and neither TAP devices nor KVM open without", "run it with sudo");

    private static Finding Memory()
    {
        var (total, available) = (Meminfo("MemTotal:"), Meminfo("MemAvailable:"));
        var sentence = $"{available >> 20} MiB of {total >> 20} MiB are available";
        return available >= LeastMemory
            ? new Finding("memory", Verdict.Ok, sentence)
            : new Finding("memory", Verdict.Warning, $"{sentence}, which is enough for small VMs only", "stop something, or add memory: a standby needs the guest's RAM once more");
    }

    private static Finding RamDirectory(string path)
    {
        const string subject = "guest RAM";
        if (!Directory.Exists(path))
        {
            return new Finding(subject, Verdict.Missing, $"{path}, where guests' RAM shall lie, does not exist", $"mount a tmpfs there: mount -t tmpfs tmpfs {path}");
        }
        var drive = new DriveInfo(path);
        var sentence = $"{path} has {drive.AvailableFreeSpace >> 20} MiB free of {drive.TotalSize >> 20} MiB";
        if (drive.DriveFormat is not ("tmpfs" or "hugetlbfs"))
        {
            return new Finding(subject, Verdict.Missing, $"{path} is on {drive.DriveFormat}, not in memory", $"mount a tmpfs there: mount -t tmpfs tmpfs {path}");
        }
        return drive.AvailableFreeSpace >= LeastRamDirectory
            ? new Finding(subject, Verdict.Ok, sentence)
            : new Finding(subject, Verdict.Missing, $"{sentence}, too little for a guest's RAM", $"enlarge it: mount -o remount,size=80% {path} (in a container: --shm-size)");
    }

    private static Finding TunDevice()
    {
        const string subject = "TUN";
        try
        {
            using var opened = File.OpenHandle(Tun, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            return new Finding(subject, Verdict.Ok, $"{Tun} opens");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Finding(subject, Verdict.Missing, $"{Tun} cannot be opened ({e.Message}), so guests get no network", "load the module and be root: modprobe tun (in a container: --device /dev/net/tun)");
        }
    }

    private static Finding BridgeTool() => Programs.Find("ip") is { } ip
        ? new Finding("bridges", Verdict.Ok, $"{ip} can make them")
        : new Finding("bridges", Verdict.Missing, "there is no 'ip' to make a bridge with", "apt install iproute2");

    private static Finding Cgroup(string? wanted)
    {
        const string subject = "cgroup2";
        try
        {
            var mount = ControlGroup.Mount;
            return wanted is null || Directory.Exists(wanted)
                ? new Finding(subject, Verdict.Ok, $"mounted at {mount}")
                : new Finding(subject, Verdict.Missing, $"{wanted}, which agent.yaml names as cgroupRoot, does not exist", $"make it: mkdir {wanted}");
        }
        catch (TypeInitializationException e) when (e.InnerException is PolluxException cause)
        {
            return new Finding(subject, Verdict.Missing, cause.Problem, cause.NextStep);
        }
    }

    /// <summary>A line of /proc/meminfo in bytes.</summary>
    private static long Meminfo(string name)
    {
        var line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }
}

/// <summary>Programs as a shell finds them.</summary>
internal static class Programs
{
    /// <summary>The path of a program; null when there is none.</summary>
    internal static string? Find(string name) => name.Contains('/', StringComparison.Ordinal)
        ? File.Exists(name) ? name : null
        : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(d => Path.Combine(d, name)).FirstOrDefault(File.Exists);
}
