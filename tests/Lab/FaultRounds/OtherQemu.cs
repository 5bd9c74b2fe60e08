using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>A host whose agent starts QEMU with more arguments, or through another script, until this is disposed. VMs that run are not touched.</summary>
internal sealed class OtherQemu : IAsyncDisposable
{
    private const string Stock = "qemu-system-x86_64";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly LabCluster _lab;
    private readonly string _host;

    private OtherQemu(LabCluster lab, string host) => (_lab, _host) = (lab, host);

    public static Task<OtherQemu> OnAsync(LabCluster lab, string host, string directory, string arguments) =>
        ThroughAsync(lab, host, directory, $"exec {Stock} \"$@\" {arguments}");

    /// <param name="body">Of a shell script that gets QEMU's arguments.</param>
    public static async Task<OtherQemu> ThroughAsync(LabCluster lab, string host, string directory, string body)
    {
        var script = Path.Combine(directory, "qemu");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var changed = new OtherQemu(lab, host);
        await changed.UseAsync(script);
        return changed;
    }

    public async ValueTask DisposeAsync() => await UseAsync(Stock);

    private async Task UseAsync(string qemu)
    {
        (await _lab.ExecAsync(_host, ["sed", "-i", $"s|^qemu:.*|qemu: {qemu}|", "/etc/pollux/agent.yaml"])).Checked("changing the agent's QEMU");
        var before = _lab[_host].FindAgent();
        using (var kill = _lab.Prepare(new LabFault.KillAgent(_host)))
        {
            kill.Strike();
        }
        await Polling.UntilAsync(
            async c => _lab[_host].FindAgent() is { } agent && agent != before && (await _lab.StatusAsync(c)).All(h => h.Agent != false),
            Patience, () => $"the agent on {_host} does not come back");
    }
}
