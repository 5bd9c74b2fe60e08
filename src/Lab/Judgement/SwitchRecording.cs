using Pollux.Core;
using Pollux.Lab.Network;

namespace Pollux.Lab.Judgement;

/// <summary>Captures of what every data host and the client send into the <c>lan</c>, for <see cref="SwitchJudge"/>.</summary>
public sealed class SwitchRecording : IAsyncDisposable
{
    public const string Client = "client";
    private readonly LabCluster _lab;
    private readonly string _directory;
    private readonly List<(string Host, Capture Capture)> _captures = [];

    private SwitchRecording(LabCluster lab, string directory) => (_lab, _directory) = (lab, directory);

    /// <summary>
    /// Returns when all captures listen. A host has a port while it is on, and a new one at each power-on: see <see cref="AddAsync"/>.
    /// </summary>
    public static async Task<SwitchRecording> StartAsync(LabCluster lab, CancellationToken cancellation = default)
    {
        var recording = new SwitchRecording(lab, Directory.CreateTempSubdirectory("pollux-capture").FullName);
        try
        {
            var ports = lab.Hosts.Where(h => h.Power != Hosts.HostPower.Off).Select(h => h.Name.Value).Append(Client);
            var started = await Task.WhenAll(ports.Select(p => recording.CaptureAsync(p, cancellation))).ConfigureAwait(false);
            recording._captures.AddRange(started);
            return recording;
        }
        catch
        {
            await recording.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Records the new port of a host that was powered on again.</summary>
    public async Task AddAsync(HostId host, CancellationToken cancellation = default) =>
        _captures.Add(await CaptureAsync(host.Value, cancellation).ConfigureAwait(false));

    /// <summary>Ends the captures and gives all frames.</summary>
    public async Task<IReadOnlyList<SwitchFrame>> StopAsync()
    {
        await Task.WhenAll(_captures.Select(c => c.Capture.StopAsync())).ConfigureAwait(false);
        return FramesSoFar();
    }

    /// <summary>What has been recorded, in the order of time. Frames of the last moment may be missing until <see cref="StopAsync"/>.</summary>
    public IReadOnlyList<SwitchFrame> FramesSoFar() =>
        [.. _captures.SelectMany(c => PcapFile.ReadFrames(c.Capture.File).Select(f => new SwitchFrame(f.UnixMs, c.Host, f.Frame))).OrderBy(f => f.UnixMs)];

    /// <summary>Copies what has been recorded into a directory, for people.</summary>
    public void Save(string directory)
    {
        foreach (var file in Directory.GetFiles(_directory))
        {
            File.Copy(file, Path.Combine(directory, Path.GetFileName(file)), overwrite: true);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (_, capture) in _captures)
        {
            await capture.DisposeAsync().ConfigureAwait(false);
        }
        Directory.Delete(_directory, recursive: true);
    }

    private async Task<(string Host, Capture Capture)> CaptureAsync(string port, CancellationToken cancellation)
    {
        var file = Path.Combine(_directory, $"{port}-{_captures.Count}.pcap");
        return (port, await _lab.StartCaptureAsync($"{port}-{LabNetwork.Lan}", file, cancellation).ConfigureAwait(false));
    }
}
