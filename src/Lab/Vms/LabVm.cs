using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Vms;

/// <summary>A VM of a lab, driven through the agents as a user would.</summary>
public sealed class LabVm(LabCluster lab, VmName name)
{
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(100);

    public VmName Name => name;

    /// <summary>Defines the VM with its home on a host and starts it; returns when the agent has taken the order.</summary>
    public static async Task<LabVm> StartAsync(LabCluster lab, VmSpec spec, string host, CancellationToken cancellation = default)
    {
        using var agent = AgentOf(lab[host]);
        await agent.DefineAsync(new DefineRequest(VmSpecWriter.Write(spec)), Within, cancellation).ConfigureAwait(false);
        await agent.StartAsync(spec.Name, Within, cancellation).ConfigureAwait(false);
        return new LabVm(lab, spec.Name);
    }

    /// <summary>Starts it again after it was stopped.</summary>
    public Task StartAsync(CancellationToken cancellation = default) => AskAsync(a => a.StartAsync(name, Within, cancellation));

    public Task ProtectAsync(CancellationToken cancellation = default) => AskAsync(a => a.ProtectAsync(name, null, Within, cancellation));

    public Task UnprotectAsync(CancellationToken cancellation = default) => AskAsync(a => a.UnprotectAsync(name, Within, cancellation));

    /// <summary>Planned: returns when the other host runs it. Asked once: an order that was lost half-way must not be given again.</summary>
    public async Task TakeOverAsync(CancellationToken cancellation = default)
    {
        using var agent = AgentOf(lab.Hosts.FirstOrDefault(h => h.Power == HostPower.On) ?? throw NoneIsOn());
        await agent.TakeOverAsync(name, Within, cancellation).ConfigureAwait(false);
    }

    /// <summary>Asks its guest to power down, or kills it; returns when it is gone, or another keeper is to see to it. Asked once.</summary>
    public async Task StopAsync(bool force = false, CancellationToken cancellation = default)
    {
        using var agent = AgentOf(lab.Hosts.FirstOrDefault(h => h.Power == HostPower.On) ?? throw NoneIsOn());
        await agent.StopAsync(name, force, Within, cancellation).ConfigureAwait(false);
    }

    public Task SetAsync(ProtectionSettings settings, CancellationToken cancellation = default) => AskAsync(a => a.SetAsync(name, settings, Within, cancellation));

    /// <summary>Kills it and forgets it; returns when that is done.</summary>
    public async Task DeleteAsync(CancellationToken cancellation = default)
    {
        await AskAsync(a => a.StopAsync(name, force: true, Within, cancellation)).ConfigureAwait(false);
        await UntilAsync(v => v.State == "stopped", "stopped", Within, cancellation).ConfigureAwait(false);
        await AskAsync(async a =>
        {
            await a.DeleteAsync(name, Within, cancellation).ConfigureAwait(false);
            return true;
        }).ConfigureAwait(false);
    }

    /// <summary>The VM as the first agent shows it that answers.</summary>
    /// <exception cref="PolluxException">None does.</exception>
    public Task<VmDocument> ShowAsync(CancellationToken cancellation = default) => AskAsync(a => a.VmAsync(name, Within, cancellation));

    /// <summary>Waits until the VM is as wanted. Slow to ask, so as not to disturb what is measured.</summary>
    /// <exception cref="PolluxException">It was not within the deadline; says how it was instead.</exception>
    public async Task<VmDocument> UntilAsync(Func<VmDocument, bool> isSo, string wanted, TimeSpan deadline, CancellationToken cancellation = default)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(deadline);
        var last = "no agent has shown it";
        try
        {
            while (true)
            {
                try
                {
                    var seen = await ShowAsync(patience.Token).ConfigureAwait(false);
                    if (isSo(seen))
                    {
                        return seen;
                    }
                    last = $"it is {seen.State} on {seen.Host}{(seen.Note.Length > 0 ? $" ({seen.Note})" : "")}";
                }
                catch (PolluxException e)
                {
                    last = e.Message;
                }
                await Task.Delay(Pace, patience.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new PolluxException($"VM '{name}' is not {wanted} after {deadline.TotalSeconds:0} s: {last}", $"see the logs in {lab.Name.StateDirectory}/hosts/*/log");
        }
    }

    private static AgentClient AgentOf(LabHost host) => AgentClient.Local(host.AgentSocket);

    /// <summary>Asks the agents of the hosts that are on, one after the other, until one does it.</summary>
    private async Task<T> AskAsync<T>(Func<AgentClient, Task<T>> what)
    {
        PolluxException? failure = null;
        foreach (var host in lab.Hosts.Where(h => h.Power == HostPower.On))
        {
            try
            {
                using var agent = AgentOf(host);
                return await what(agent).ConfigureAwait(false);
            }
            catch (PolluxException e)
            {
                failure = e;
            }
        }
        throw failure ?? NoneIsOn();
    }

    private PolluxException NoneIsOn() => new($"no host of lab '{lab.Name}' is on", "pollux lab power-on h1");
}

/// <summary>Questions to a VM's document.</summary>
public static class VmDocumentExtensions
{
    /// <summary>The status of the keeper on a host, if it answered.</summary>
    public static KeeperStatus? KeeperOn(this VmDocument vm, HostId host) => vm.Keepers.FirstOrDefault(k => k.Host == host)?.Status;
}
