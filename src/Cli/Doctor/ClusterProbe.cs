using Pollux.Cluster.Api;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Qemu.Probing;

namespace Pollux.Cli.Doctor;

/// <summary>What this host has of a cluster: its configuration, etcd, the agent.</summary>
internal static class ClusterProbe
{
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan MemberWithin = TimeSpan.FromSeconds(1);

    /// <summary>The agent asks other hosts in turn.</summary>
    private static readonly TimeSpan VmsWithin = TimeSpan.FromSeconds(15);

    /// <summary>The agent's configuration, and what is to be said of it; null when there is none that can be used.</summary>
    internal static (AgentConfig? Config, Finding Finding) Configuration(string file)
    {
        const string subject = "configuration";
        if (!File.Exists(file))
        {
            return (null, new Finding(subject, Verdict.NotConfigured, $"there is no {file}: this host belongs to no cluster", "docs/agent.md says what goes into it; 'pollux lab up' needs none"));
        }
        try
        {
            return (AgentConfig.Read(file), new Finding(subject, Verdict.Ok, $"{file} can be read"));
        }
        catch (PolluxException e)
        {
            return (null, new Finding(subject, Verdict.Missing, e.Problem, e.NextStep));
        }
    }

    internal static async Task<Finding> EtcdAsync(AgentConfig? config, CancellationToken cancellation)
    {
        const string subject = "etcd";
        if (config is null)
        {
            return new Finding(subject, Verdict.NotConfigured, "not configured");
        }
        var members = string.Join(", ", config.Etcd);
        try
        {
            var store = new EtcdStore(new EtcdOptions(config.Etcd, config.Tls));
            await using (store.ConfigureAwait(false))
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                patience.CancelAfter(AnswerWithin);
                var hosts = await store.ListAsync(StoreKeys.Hosts, patience.Token).ConfigureAwait(false);
                var silent = (await store.Maintenance.ViewAsync(MemberWithin, cancellation).ConfigureAwait(false)).Where(m => m.Version is null).Select(m => m.Endpoint).ToList();
                var alive = $"{hosts.Count} host{(hosts.Count == 1 ? " is" : "s are")} alive";
                return silent.Count == 0
                    ? new Finding(subject, Verdict.Ok, $"{members}: answer, {alive}")
                    : new Finding(subject, Verdict.Warning, $"a majority answers, {alive}, but {string.Join(", ", silent)} {(silent.Count == 1 ? "is" : "are")} silent", "start etcd there: one more loss may leave no majority");
            }
        }
        catch (PolluxException e)
        {
            return new Finding(subject, Verdict.Missing, e.Problem, e.NextStep ?? $"start etcd, or correct 'etcd' in agent.yaml ({members})");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return new Finding(subject, Verdict.Missing, $"no majority of {members} answered within {AnswerWithin.TotalSeconds:0} s", "start etcd, or correct 'etcd' in agent.yaml");
        }
    }

    /// <summary>A line for each VM that shall be protected; none when no agent answers, which is told by <see cref="AgentAsync"/>.</summary>
    internal static async Task<IReadOnlyList<Finding>> VmsAsync(string socket, CancellationToken cancellation)
    {
        try
        {
            using var agent = AgentClient.Local(socket);
            return [.. (await agent.DiagnosesAsync(VmsWithin, cancellation).ConfigureAwait(false)).Select(AnswerOf)];
        }
        catch (PolluxException)
        {
            return [];
        }
    }

    internal static Finding AnswerOf(ProtectionDiagnosis diagnosis) =>
        new($"VM {diagnosis.Vm}", diagnosis.Verdict, diagnosis.Sentence, diagnosis.NextStep);

    internal static async Task<Finding> AgentAsync(AgentConfig? config, string socket, CancellationToken cancellation)
    {
        const string subject = "agent";
        try
        {
            using var agent = AgentClient.Local(socket);
            var hosts = await agent.HostsAsync(AnswerWithin, cancellation).ConfigureAwait(false);
            return new Finding(subject, Verdict.Ok, $"answers on {socket}; alive: {string.Join(", ", hosts.Select(h => h.Host.Value))}");
        }
        catch (PolluxException e)
        {
            return config is null
                ? new Finding(subject, Verdict.NotConfigured, "not configured")
                : new Finding(subject, Verdict.Missing, e.Problem, e.NextStep ?? "start polluxd");
        }
    }
}
