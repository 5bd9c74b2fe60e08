using System.Diagnostics;
using System.Reflection;
using Pollux.Agent.Events;
using Pollux.Agent.Keepers;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Configuration;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent.Metrics;

/// <summary>Collects what a page of metrics tells: this host's keepers are asked, all else was seen before. Who asks often gets the same page again.</summary>
internal sealed class MetricsService(AgentConfig config, LocalVms vms, HostLease lease, ReconcileLoop loop, EtcdLook etcd, TakeoverCount takeovers) : IDisposable
{
    private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(500);
    private static readonly string Version =
        typeof(MetricsService).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    private readonly SemaphoreSlim _one = new(1, 1);
    private string _page = "";
    private long _writtenAt;

    public async Task<string> PageAsync(CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (_writtenAt == 0 || Stopwatch.GetElapsedTime(_writtenAt) > Fresh)
            {
                _page = MetricsPage.Write(await CollectAsync(cancellation).ConfigureAwait(false));
                _writtenAt = Stopwatch.GetTimestamp();
            }
            return _page;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private async Task<MetricsFacts> CollectAsync(CancellationToken cancellation)
    {
        var names = vms.Names();
        var looks = await Task.WhenAll(names.Select(n => vms.LookAsync(n, cancellation))).ConfigureAwait(false);
        var keepers = names.Zip(looks).Where(p => p.Second.KeeperLives).ToDictionary(p => p.First, p => p.Second.Keeper);
        foreach (var keeper in keepers.Values.OfType<KeeperStatus>())
        {
            takeovers.Note(keeper);
        }
        var alive = loop.Seen?.Hosts ?? new Dictionary<HostId, HostRecord>();
        return new MetricsFacts(
            config.Host, Version, lease.IsAlive, etcd.HasMajority, etcd.Members,
            loop.KnownHosts.Keys.ToDictionary(h => h, alive.ContainsKey), [.. loop.Seen?.Vms.Values ?? []], keepers, takeovers.Counts());
    }
}
