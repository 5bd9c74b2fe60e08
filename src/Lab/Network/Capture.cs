using System.Diagnostics;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Network;

/// <summary>
/// Records what passes a bridge of the lab's switch (<c>lan</c> or <c>mgmt</c>), or one port of it (<c>h1-lan</c>, …), into a pcap file.
/// A port's capture holds only what comes out of that port's cable: what the host behind it sends. The tcpdump belongs to the lab: <c>lab down</c> ends it too.
/// </summary>
public sealed class Capture : IAsyncDisposable
{
    /// <summary>A whole frame of a LAN; larger ones, unsegmented between virtual ports, are cut.</summary>
    private const int SnapBytes = 2048;

    private const int BufferKib = 16384;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);
    private readonly Process _tcpdump;

    private Capture(Process tcpdump, string file) => (_tcpdump, File) = (tcpdump, file);

    /// <summary>Read it with <see cref="PcapFile"/> after <see cref="StopAsync"/>.</summary>
    public string File { get; }

    /// <summary>Returns when tcpdump listens.</summary>
    internal static async Task<Capture> StartAsync(LabName lab, string network, string file, CancellationToken cancellation)
    {
        string[] command =
        [
            "-c", "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"", "sh", lab.ToolsCgroup.Path,
            "ip", "netns", "exec", lab.SwitchNamespace,
            // Written frame by frame, as root's own user, so that what was seen is in the file even when the capture is killed.
            "tcpdump", "-i", network, "-w", file, "-U", "-n", "-s", $"{SnapBytes}", "-B", $"{BufferKib}", "--immediate-mode", "-Z", "root",
            .. IsBridge(network) ? Array.Empty<string>() : ["-Q", "in"],
        ];
        var tcpdump = Tool.Start(new ProcessStartInfo("/bin/sh", command) { RedirectStandardError = true });
        var capture = new Capture(tcpdump, file);
        try
        {
            var said = await tcpdump.StandardError.ReadLineAsync(cancellation).AsTask().WaitAsync(Deadline, cancellation).ConfigureAwait(false);
            if (said?.Contains("listening on", StringComparison.Ordinal) != true)
            {
                throw new PolluxException($"tcpdump on {network} of the lab's switch does not listen: {said}");
            }
            return capture;
        }
        catch
        {
            await capture.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static bool IsBridge(string network) => network is LabNetwork.Lan or LabNetwork.Mgmt;

    /// <summary>Ends the capture; the file is whole then.</summary>
    public async Task StopAsync()
    {
        if (!_tcpdump.HasExited)
        {
            const int interrupt = 2;
            Linux.Processes.ProcessTable.TrySignal(_tcpdump.Id, interrupt);
            await _tcpdump.WaitForExitAsync().WaitAsync(Deadline).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await StopAsync().ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _tcpdump.Kill();
        }
        _tcpdump.Dispose();
    }
}
