using Pollux.Cluster.Configuration;
using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Agent;

/// <summary>
/// Keeps etcd's leader off the data hosts where there is a witness: a host that dies with the leader costs an election before a
/// standby's swap can win.
/// </summary>
internal sealed class LeaderPlacement(AgentConfig config, EtcdStore store, ILogger log)
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Within = TimeSpan.FromSeconds(2);

    /// <summary>Until it is cancelled, also where there is nothing to do: an agent ends when a part of it does.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        if (config.Witnesses.Count == 0)
        {
            await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(false);
        }
        while (true)
        {
            try
            {
                await MoveAsync(cancellation).ConfigureAwait(false);
            }
            catch (PolluxException e)
            {
                log.Say($"etcd's leader: {e.Message}");
            }
            await Task.Delay(Every, cancellation).ConfigureAwait(false);
        }
    }

    private async Task MoveAsync(CancellationToken cancellation)
    {
        var members = await store.Maintenance.ViewAsync(Within, cancellation).ConfigureAwait(false);
        if (members.FirstOrDefault(m => m.IsLeader) is { } leader && leader.Name == config.Host.Value
            && members.FirstOrDefault(m => m.Answers && config.Witnesses.Contains(m.Name)) is { } witness)
        {
            await store.Maintenance.MoveLeaderAsync(leader.Endpoint, witness.Id, Within, cancellation).ConfigureAwait(false);
            log.Say($"etcd's leader moved from {leader.Name} to the witness {witness.Name}");
        }
    }
}
