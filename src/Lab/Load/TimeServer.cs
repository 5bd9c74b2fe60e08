using System.Diagnostics;
using System.Net;

namespace Pollux.Lab.Load;

/// <summary>An NTP server on the lab's client: chrony, which tells this machine's time and leaves it alone. Ends when disposed of.</summary>
public sealed class TimeServer : IDisposable
{
    private readonly Process _process;
    private readonly DirectoryInfo _directory;

    private TimeServer(Process process, DirectoryInfo directory) => (_process, _directory) = (process, directory);

    /// <summary>In the lab's network <c>lan</c>.</summary>
    public static IPAddress Address { get; } = IPAddress.Parse("10.78.0.250");

    public static TimeServer Start(LabCluster lab)
    {
        var directory = Directory.CreateTempSubdirectory("pollux-time-");
        var configuration = Path.Combine(directory.FullName, "chrony.conf");
        File.WriteAllText(configuration, $"""
            local stratum 5
            allow
            bindaddress {Address}
            cmdport 0
            user root
            pidfile {directory.FullName}/pid

            """);
        // -x: never touches the clock of this machine.
        var start = lab.EnterCommand("client", [Path.Combine(lab.Programs.Chrony, "usr/sbin/chronyd"), "-d", "-x", "-4", "-f", configuration, "-l", Path.Combine(directory.FullName, "log")]);
        start.Environment["LD_LIBRARY_PATH"] = Path.Combine(lab.Programs.Chrony, "usr/lib/x86_64-linux-gnu");
        return new TimeServer(Process.Start(start)!, directory);
    }

    public void Dispose()
    {
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
        _directory.Delete(recursive: true);
    }
}
