using System.Net;
using Pollux.Agent.Api;
using Pollux.Agent.Events;
using Pollux.Agent.Keepers;
using Pollux.Agent.Metrics;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Events;
using Pollux.Cluster.Security;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Qemu.Probing;
using Pollux.Qemu.Process;

namespace Pollux.Agent;

/// <summary>Puts the agent's parts together.</summary>
internal static class AgentProcess
{
    /// <summary>Until the process is told to end (SIGTERM, SIGINT). VMs live on.</summary>
    /// <exception cref="PolluxException">It cannot begin.</exception>
    public static async Task RunAsync(AgentConfig config, ILogger log)
    {
        Directory.CreateDirectory(config.VmsDirectory);
        PrepareState(config);
        using var only = FileLock.TryTake(Path.Combine(config.RunDirectory, "polluxd.lock"))
            ?? throw new PolluxException($"another agent runs on {config.RunDirectory}", "one agent per host");
        using var tls = PeerTls.Open(config.Tls);
        if (tls.Self != config.Host)
        {
            throw new PolluxException($"the certificate {config.Tls.CertificateFile} is {tls.Self}'s, but this host is {config.Host}", "correct 'host' in agent.yaml, or issue another certificate");
        }
        var version = await QemuVersion.OfAsync(config.Qemu, CancellationToken.None).ConfigureAwait(false);
        using var ending = new CancellationTokenSource();
        // Takes seconds on a host where KVM does not work; only VMs whose spec leaves the accelerator open wait for it.
        var accelerator = FindAcceleratorAsync(config, log, ending.Token);
        var store = new EtcdStore(new EtcdOptions(config.Etcd, config.Tls));
        await using (store.ConfigureAwait(false))
        {
            await store.StartWarmingAsync(CancellationToken.None).ConfigureAwait(false);
            using var events = new EventJournal(config.EventsFile, config.Host, log.Say);
            events.Tell(null, EventKinds.AgentStarted, EventWeight.Info, $"the agent of {config.Host} has started");
            var lease = new HostLease(config, store, version.ToString(), accelerator, events, log);
            var vms = new LocalVms(config);
            var takeovers = new TakeoverCount((DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalMilliseconds);
            var loop = new ReconcileLoop(config, store, lease, vms, accelerator, takeovers, events, log);
            var etcd = new EtcdLook(config, store, events);
            using var peers = new Peers(store, tls);
            using var metrics = new MetricsService(config, vms, lease, loop, etcd, takeovers);
            File.Delete(config.Socket);
            var api = ApiServer.Build(config, tls, new VmService(config, store, vms, peers, loop, etcd, events), new EventService(config, peers, loop), metrics, lease);
            await using (api.ConfigureAwait(false))
            {
                Task[] work = [lease.RunAsync(ending.Token), loop.RunAsync(ending.Token), etcd.RunAsync(ending.Token), new LeaderPlacement(config, store, log).RunAsync(ending.Token)];
                await StartAsync(api, config).ConfigureAwait(false);
                log.Say($"{config.Host} serves {config.Socket} and {config.Address}:{config.ApiPort}");
                var ended = await Task.WhenAny([.. work, api.WaitForShutdownAsync()]).ConfigureAwait(false);
                await ending.CancelAsync().ConfigureAwait(false);
                if (ended.IsFaulted)
                {
                    await ended.ConfigureAwait(false);
                }
                if (work.Contains(ended))
                {
                    throw new PolluxException("a part of the agent has ended by itself", "it is started anew; tell the developers");
                }
            }
        }
    }

    private static void PrepareState(AgentConfig config)
    {
        try
        {
            Directory.CreateDirectory(config.StateDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PolluxException($"{config.StateDirectory} cannot be made: {e.Message}", "correct 'stateDirectory' in agent.yaml", e);
        }
    }

    private static async Task<AcceleratorFinding> FindAcceleratorAsync(AgentConfig config, ILogger log, CancellationToken cancellation)
    {
        var finding = await AcceleratorProbe.FindAsync(config.Qemu, config.RunDirectory, cancellation).ConfigureAwait(false);
        log.Say(finding.NextStep is null ? finding.Why : $"warning: {finding.Why}; {finding.NextStep}");
        return finding;
    }

    private static async Task StartAsync(WebApplication api, AgentConfig config)
    {
        try
        {
            await api.StartAsync().ConfigureAwait(false);
            File.SetUnixFileMode(config.Socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        catch (IOException e)
        {
            throw new PolluxException($"the API{(config.Metrics is null ? "" : " or the metrics")} cannot listen: {e.Message}", "is another agent running, or are 'address' or 'metrics' in agent.yaml not this host's?", e);
        }
    }
}
