using System.Text.Json;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Hosts;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Vms;

/// <summary>A VM of a lab, driven through the agents as a user would.</summary>
public sealed class LabVm(LabCluster lab, VmName name)
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(100);

    public VmName Name => name;

    /// <summary>Defines the VM with its home on a host and starts it; returns when the agent has taken the order.</summary>
    public static async Task<LabVm> StartAsync(LabCluster lab, VmSpec spec, string host, CancellationToken cancellation = default)
    {
        var vm = new LabVm(lab, spec.Name);
        var define = JsonSerializer.Serialize(new DefineRequest(VmSpecWriter.Write(spec), HostId.Create(host)), AgentApiJson.Default.DefineRequest);
        await AgentApi.PostAsync(lab[host], "/v1/vms", define, cancellation).ConfigureAwait(false);
        await vm.OrderAsync(host, "start", cancellation).ConfigureAwait(false);
        return vm;
    }

    public Task ProtectAsync(string host, CancellationToken cancellation = default) => OrderAsync(host, "protect", cancellation);

    /// <summary>Planned: returns when the other host runs it.</summary>
    public Task TakeOverAsync(string host, CancellationToken cancellation = default) => OrderAsync(host, "takeover", cancellation);

    public Task SetAsync(string host, ProtectionSettings settings, CancellationToken cancellation = default) =>
        AgentApi.PostAsync(lab[host], $"/v1/vms/{name}/set", JsonSerializer.Serialize(settings, AgentApiJson.Default.ProtectionSettings), cancellation);

    /// <summary>The VM as the first agent shows it that answers.</summary>
    /// <exception cref="PolluxException">None does.</exception>
    public async Task<VmSight> ShowAsync(CancellationToken cancellation = default)
    {
        PolluxException? failure = null;
        foreach (var host in lab.Hosts.Where(h => h.Power == HostPower.On))
        {
            try
            {
                return await ShowAsync(host, cancellation).ConfigureAwait(false);
            }
            catch (PolluxException e)
            {
                failure = e;
            }
        }
        throw failure ?? new PolluxException($"no host of lab '{lab.Name}' is on");
    }

    /// <summary>Waits until the VM is as wanted. Slow to ask, so as not to disturb what is measured.</summary>
    /// <exception cref="PolluxException">It was not within the deadline; says how it was instead.</exception>
    public async Task<VmSight> UntilAsync(Func<VmSight, bool> isSo, string wanted, TimeSpan deadline, CancellationToken cancellation = default)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(deadline);
        var last = "no agent has shown it";
        while (true)
        {
            try
            {
                var sight = await ShowAsync(patience.Token).ConfigureAwait(false);
                if (isSo(sight))
                {
                    return sight;
                }
                last = $"it is {sight.State} on {sight.Role?.Primary.Host}{(sight.Note is { Length: > 0 } note ? $" ({note})" : "")}";
            }
            catch (PolluxException e)
            {
                last = e.Message;
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw new PolluxException($"VM '{name}' is not {wanted} after {deadline.TotalSeconds:0} s: {last}", $"see the logs in {lab.Name.StateDirectory}/hosts/*/log");
            }
            try
            {
                await Task.Delay(Pace, patience.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                // Said at the next look.
            }
        }
    }

    private Task<VmSight> ShowAsync(LabHost host, CancellationToken cancellation) =>
        AgentApi.GetAsync(host, $"/v1/vms/{name}", AgentApiJson.Default.VmSight, cancellation);

    private Task OrderAsync(string host, string order, CancellationToken cancellation) =>
        AgentApi.PostAsync(lab[host], $"/v1/vms/{name}/{order}", "{}", cancellation);
}
