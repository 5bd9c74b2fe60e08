using System.Diagnostics;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>
/// One fault under load: the VM is protected, a client works, a fault strikes one side, is mended as far as it mends, and the pair
/// becomes whole again while the client works on.
/// </summary>
internal sealed class FaultRound(ProtectedLab lab, string fault, Side side, ulong seed)
{
    /// <summary>No fault: the user asks for a takeover.</summary>
    internal const string Planned = "planned takeover";

    internal async Task<RoundResult> RunAsync()
    {
        await using var round = await Round.BeginAsync(lab, seed);
        var host = round.HostOf(side);

        var struck = fault == Planned ? await TakeOverAsync(host) : round.Strike(FaultAt(host));
        var silent = await SilentFromAsync(host, struck);
        await round.AnsweredSinceAsync(struck, $"{fault} of the {side}");
        var settled = Stopwatch.GetTimestamp();
        if (fault == "freeze")
        {
            round.Strike(new LabFault.Thaw(host.Value));
            await round.AnsweredAsync();
        }
        // A planned takeover begins when the agents have passed the order on.
        return await round.EndAsync(struck, side == Side.Primary ? silent : null, fault == Planned ? settled : null);
    }

    private async Task<StruckFault> TakeOverAsync(HostId host)
    {
        var struck = Round.Now(Planned, host);
        await lab.Vm.TakeOverAsync();
        return struck;
    }

    private LabFault FaultAt(HostId host) => fault switch
    {
        "power-off" => new LabFault.PowerOff(host.Value),
        "freeze" => new LabFault.Freeze(host.Value),
        "kill-qemu" => new LabFault.KillQemu(lab.Vm.Name, host.Value),
        "kill-keeper" => new LabFault.KillKeeper(lab.Vm.Name, host.Value),
        "kill-agent" => new LabFault.KillAgent(host.Value),
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "no such fault"),
    };

    /// <summary>From when the host can say nothing any more, if the fault is of that kind. A freeze takes a moment to reach every task.</summary>
    private async Task<SilencingFault?> SilentFromAsync(HostId host, StruckFault struck)
    {
        switch (fault)
        {
            case "power-off":
                return await lab.DeadAsync(struck);
            case "freeze":
                await Polling.UntilAsync(() => lab.Cluster[host.Value].Power == HostPower.Frozen, Round.Patience, () => $"{host} does not freeze");
                return new SilencingFault(host.Value, Round.Now(fault, host).UnixMs);
            default:
                return null;
        }
    }
}
