using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>
/// A QEMU on one host that refuses the state at takeover, though the rehearsal's QEMU takes it: the waiting one has a network card that
/// cannot do what the guest's driver was promised. Ends with the object.
/// </summary>
internal sealed class RefusingQemu : IAsyncDisposable
{
    private const string PathInside = "/run/host/refusing-qemu";
    private static readonly TimeSpan Protect = TimeSpan.FromMinutes(2);

    private const string Script = """
        #!/bin/sh
        case " $* " in
          *" -S "*) ;;
          *" -incoming "*) set -- "$@" -global virtio-net-pci.mrg_rxbuf=off ;;
        esac
        exec qemu-system-x86_64 "$@"

        """;

    private readonly ProtectedLab _lab;
    private readonly string _host;

    private RefusingQemu(ProtectedLab lab, string host) => (_lab, _host) = (lab, host);

    /// <summary>Returns when the host, which must be the standby's, stands by with it.</summary>
    internal static async Task<RefusingQemu> InstallAsync(ProtectedLab lab, string host)
    {
        var file = Path.Combine(lab.Cluster.Name.DirectoryOf(lab.Cluster[host].Member), Path.GetFileName(PathInside));
        await File.WriteAllTextAsync(file, Script);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var refusing = new RefusingQemu(lab, host);
        await refusing.ChangeAsync(PathInside);
        return refusing;
    }

    public async ValueTask DisposeAsync() => await ChangeAsync("qemu-system-x86_64");

    /// <summary>The agent that reads its configuration anew starts the next keeper with this QEMU, and the one that stands by now must go for it.</summary>
    private async Task ChangeAsync(string qemu)
    {
        (await _lab.Cluster.ExecAsync(_host, ["sed", "-i", $"s|^qemu: .*|qemu: {qemu}|", "/etc/pollux/agent.yaml"])).Checked("changing agent.yaml");
        var agent = _lab.Cluster[_host].FindAgent();
        Strike(new LabFault.KillAgent(_host));
        await Polling.UntilAsync(async c => _lab.Cluster[_host].FindAgent() is { } now && now != agent && (await _lab.Cluster.StatusAsync(c)).All(h => h.Agent != false),
            Round.Patience, () => $"the agent of {_host} is not back");
        var before = await _lab.WholeAsync();
        if (before.Role!.Standby!.Host.Value == _host)
        {
            Strike(new LabFault.KillKeeper(_lab.Vm.Name, _host));
            await _lab.Vm.UntilAsync(v => v is { State: "protected", Role.Standby: { } standby } && standby != before.Role.Standby, "protected anew", Protect);
        }
    }

    private void Strike(LabFault fault)
    {
        using var prepared = _lab.Cluster.Prepare(fault);
        prepared.Strike();
    }
}
