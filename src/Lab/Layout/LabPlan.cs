using System.Net;
using Pollux.Core;

namespace Pollux.Lab.Layout;

/// <summary>A machine of the lab: a data host, or a witness that only votes in etcd.</summary>
/// <param name="Index">The last byte of its address on the cluster's network.</param>
public sealed record LabMember(HostId Name, byte Index, bool IsWitness)
{
    /// <summary>Its address on the network of the cluster (etcd, agents, replication).</summary>
    public IPAddress Address => new([10, 77, 0, Index]);

    /// <summary>The same after every power-on, as a network card's is.</summary>
    public string MgmtMac => $"02:77:00:00:00:{Index:x2}";

    public string LanMac => $"02:78:00:00:00:{Index:x2}";

    public string EtcdClientUrl => $"https://{Address}:2379";

    public string EtcdPeerUrl => $"https://{Address}:2380";
}

/// <summary>
/// Who is in a lab: data hosts h1…hN, and for N = 2 the witness w, since two votes arbitrate nothing.
/// etcd runs on at most three members, the witness included.
/// </summary>
public sealed record LabPlan(LabName Lab, IReadOnlyList<LabMember> Members)
{
    public const int MaxHosts = 16;
    private const int MaxVoters = 3;
    private const byte WitnessIndex = 200;

    public IEnumerable<LabMember> Hosts => Members.Where(m => !m.IsWitness);

    public IEnumerable<LabMember> Witnesses => Members.Where(m => m.IsWitness);

    public IEnumerable<LabMember> Voters => Members.OrderByDescending(m => m.IsWitness).Take(MaxVoters).OrderBy(m => m.Index);

    /// <exception cref="PolluxException">Not 1 to 16 hosts.</exception>
    public static LabPlan Create(LabName lab, int hosts)
    {
        if (hosts is < 1 or > MaxHosts)
        {
            throw new PolluxException($"a lab cannot have {hosts} hosts", $"ask for 1 to {MaxHosts}");
        }
        var members = Enumerable.Range(1, hosts).Select(n => new LabMember(HostId.Create($"h{n}"), (byte)n, IsWitness: false)).ToList();
        if (hosts == 2)
        {
            members.Add(new LabMember(HostId.Create("w"), WitnessIndex, IsWitness: true));
        }
        return new LabPlan(lab, members);
    }

    /// <exception cref="PolluxException">No such member.</exception>
    public LabMember this[string name] => Members.FirstOrDefault(m => m.Name.Value == name)
        ?? throw new PolluxException($"lab '{Lab}' has no host '{name}'", $"it has {string.Join(", ", Members.Select(m => m.Name))}");
}
