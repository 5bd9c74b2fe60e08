using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Lab.Layout;

namespace Pollux.Lab.Health;

/// <summary>What a person wants to know of a lab host.</summary>
/// <param name="Power">off, on or frozen.</param>
/// <param name="Etcd">Whether its etcd answers with a quorum; null: it has none.</param>
/// <param name="Faults">What faults there are: of its etcd, and of the wires that lead away from it.</param>
/// <param name="Agent">Whether its agent answers; null: it has none.</param>
public sealed record HostStatus(HostId Host, string Address, string Power, bool? Etcd, bool? Agent, int Keepers, int Qemus, string LogDirectory, IReadOnlyList<string> Faults)
{
    internal static async Task<HostStatus> AskAsync(LabName lab, LabHost host, bool isVoter, bool hasAgent, IReadOnlyList<string> wires, CancellationToken cancellation)
    {
        var power = host.Power;
        var etcd = isVoter ? power == HostPower.On && await EtcdProbe.IsHealthyAsync(lab, host.Member, cancellation).ConfigureAwait(false) : (bool?)null;
        var agent = !hasAgent ? null : (bool?)await AgentProbe.AnswersAsync(host, cancellation).ConfigureAwait(false);
        return new HostStatus(host.Name, host.Member.Address.ToString(), power.ToString().ToLowerInvariant(), etcd, agent,
            host.FindKeepers().Count, host.FindQemus().Count, host.LogDirectory, host.IsEtcdHeld ? ["etcd is down", .. wires] : wires);
    }
}
