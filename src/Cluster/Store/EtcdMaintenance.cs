using System.Collections.Concurrent;

namespace Pollux.Cluster.Store;

/// <summary>One etcd member as the agent sees it.</summary>
/// <param name="Name">Its name in the member list.</param>
/// <param name="Answers">It answered with a quorum behind it within the last seconds.</param>
public sealed record EtcdMemberView(string Endpoint, ulong Id, string Name, bool IsLeader, bool Answers, string? Version);

/// <summary>What an agent needs to know and do about etcd's members themselves.</summary>
public sealed class EtcdMaintenance
{
    private static readonly TimeSpan Healthy = TimeSpan.FromSeconds(3);

    private readonly IReadOnlyList<EtcdMember> members;

    internal EtcdMaintenance(IReadOnlyList<EtcdMember> members) => this.members = members;

    /// <summary>Asks every member for its state; those that do not answer within <paramref name="within"/> are marked so.</summary>
    public async Task<IReadOnlyList<EtcdMemberView>> ViewAsync(TimeSpan within, CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        end.CancelAfter(within);
        var names = new ConcurrentDictionary<ulong, string>();
        var statuses = await Task.WhenAll(members.Select(m => AskAsync(m, names, end.Token))).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
        return [.. members.Zip(statuses, (member, status) => View(member, status, names))];
    }

    /// <summary>Asks the leader at <paramref name="leaderEndpoint"/> to hand leadership to another member.</summary>
    /// <exception cref="StoreUnavailableException">It refused or did not answer.</exception>
    public async Task MoveLeaderAsync(string leaderEndpoint, ulong targetId, TimeSpan within, CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        end.CancelAfter(within);
        var leader = members.First(m => m.Endpoint.OriginalString == leaderEndpoint);
        try
        {
            await leader.CallAsync(
                "v3/maintenance/transfer-leadership", new TransferLeadershipRequest(targetId),
                EtcdJson.Default.TransferLeadershipRequest, EtcdJson.Default.EmptyRequest, end.Token).ConfigureAwait(false);
        }
        catch (EtcdFailure e)
        {
            cancellation.ThrowIfCancellationRequested();
            throw new StoreUnavailableException($"leadership was not moved ({e.Message})", e);
        }
    }

    private static EtcdMemberView View(EtcdMember member, StatusAnswer? status, ConcurrentDictionary<ulong, string> names)
    {
        var id = status?.Header?.MemberId ?? 0;
        var isLeader = id != 0 && status!.Leader == id;
        return new(member.Endpoint.OriginalString, id, names.GetValueOrDefault(id, ""), isLeader, status is not null && member.SinceAnswer < Healthy, status?.Version);
    }

    private static async Task<StatusAnswer?> AskAsync(EtcdMember member, ConcurrentDictionary<ulong, string> names, CancellationToken end)
    {
        try
        {
            var list = await member.CallAsync(
                "v3/cluster/member/list", new EmptyRequest(), EtcdJson.Default.EmptyRequest, EtcdJson.Default.MemberListAnswer, end).ConfigureAwait(false);
            foreach (var listed in list.Members ?? [])
            {
                names[listed.Id] = listed.Name ?? "";
            }

            return await member.CallAsync(
                "v3/maintenance/status", new EmptyRequest(), EtcdJson.Default.EmptyRequest, EtcdJson.Default.StatusAnswer, end).ConfigureAwait(false);
        }
        catch (EtcdFailure)
        {
            return null;
        }
    }
}
