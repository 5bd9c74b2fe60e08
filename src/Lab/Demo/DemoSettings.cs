using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Demo;

/// <summary>What of the demonstration can be chosen.</summary>
/// <param name="Load">How long the client works under protection before the fault strikes.</param>
/// <param name="Fault">power-off, freeze or kill-qemu.</param>
/// <param name="Rounds">How often the host of the VM is struck.</param>
public sealed record DemoSettings(Accelerator Accelerator, TimeSpan Load, string Trigger, string Fault, int Rounds)
{
    public static readonly string[] Faults = ["power-off", "freeze", "kill-qemu"];

    internal LabFault FaultOn(HostId host, VmName vm) => Fault switch
    {
        "power-off" => new LabFault.PowerOff(host.Value),
        "freeze" => new LabFault.Freeze(host.Value),
        "kill-qemu" => new LabFault.KillQemu(vm, host.Value),
        _ => throw new PolluxException($"the demo has no fault '{Fault}'", $"choose one of {string.Join(", ", Faults)}"),
    };
}
