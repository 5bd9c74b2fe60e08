using System.Text;
using Pollux.Agent.Reconciling;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Time;

namespace Pollux.Simulation.Store;

/// <summary>
/// What etcd holds of the one VM and its hosts, and what it does with each request that is carried out: one after the other, each whole.
/// How requests reach it is <see cref="StoreCalls"/>' matter.
/// </summary>
internal sealed class SimulatedStore(VirtualTime time, VmName vm)
{
    private readonly Dictionary<HostId, Leased<HostRecord>> _hosts = [];
    private readonly Dictionary<HostId, Leased<StandbyEndpoint>> _endpoints = [];
    private readonly Dictionary<long, (double TtlMs, double UntilMs)> _leases = [];
    private readonly byte[] _roleKey = EtcdKey.Of(StoreKeys.Role(vm));
    private byte[] _roleValue = [];
    private StandbyAssignment? _assignment;
    private long _assignmentRevision;
    private long _revision = 100;
    private long _lastLease = 7000;

    /// <summary>The truth of who runs the VM.</summary>
    public Role? Role { get; private set; }
    public long RoleRevision { get; private set; }
    public required VmRecord Record { get; set; }
    public bool HasQuorum { get; private set; } = true;

    /// <summary>Something has changed: watchers hear of it.</summary>
    public Action? Changed { get; set; }

    /// <summary>A swap of the role was carried out: from, to.</summary>
    public Action<Role?, Role>? RoleMoved { get; set; }

    public bool IsLeaseAlive(HostId host) => _hosts.ContainsKey(host);

    public (Role?, long) ReadRole() => (Role, RoleRevision);

    /// <summary>The transaction of <see cref="SwapJudge"/>: writes if role and lease are as they must be, and says what stands there if not.</summary>
    public TxnAnswer SwapRole(Swap swap)
    {
        var requiredLives = swap.RequiredKey is null || _hosts.Keys.Any(h => StoreKeys.Host(h) == swap.RequiredKey);
        if (swap.ExpectedModRevision != RoleRevision || !requiredLives)
        {
            KeyValue[] current = Role is null ? [] : [new KeyValue(_roleKey, RoleRevision, _roleValue, 0)];
            return new TxnAnswer(new Header(1, _revision), Succeeded: false, [new OpAnswer(new RangeAnswer(null, current))]);
        }
        var before = Role;
        _roleValue = Encoding.UTF8.GetBytes(swap.Value);
        (Role, RoleRevision) = (Role.FromJson(swap.Value), ++_revision);
        RoleMoved?.Invoke(before, Role);
        Changed?.Invoke();
        return new TxnAnswer(new Header(1, _revision), Succeeded: true, null);
    }

    /// <summary>As the reconciler reads it.</summary>
    public VmView View() => new(
        vm, Record, Role, _assignment, _assignmentRevision, _endpoints.ToDictionary(e => e.Key, e => e.Value.Value), RoleRevision: RoleRevision);

    public Dictionary<HostId, HostRecord> Hosts() => _hosts.ToDictionary(h => h.Key, h => h.Value.Value);

    public void Assign(StandbyAssignment? assignment, long expectedRevision)
    {
        if (assignment is null || expectedRevision == _assignmentRevision)
        {
            (_assignment, _assignmentRevision) = (assignment, assignment is null ? 0 : ++_revision);
            Changed?.Invoke();
        }
    }

    /// <summary>Keys that a lease holds; 0 when there is none.</summary>
    public long EndpointRevision(HostId host) => _endpoints.TryGetValue(host, out var known) ? known.Revision : 0;

    public long HostRevision(HostId host) => _hosts.TryGetValue(host, out var known) ? known.Revision : 0;

    public PutOutcome PutEndpoint(StandbyEndpoint endpoint, long lease, long expectedRevision) =>
        Put(_endpoints, endpoint.Host, endpoint, lease, expectedRevision);

    public PutOutcome PutHost(HostRecord record, long lease, long expectedRevision) =>
        Put(_hosts, record.Host, record, lease, expectedRevision);

    public void DeleteEndpoint(HostId host)
    {
        if (_endpoints.Remove(host))
        {
            Changed?.Invoke();
        }
    }

    public long GrantLease(double ttlMs)
    {
        var lease = ++_lastLease;
        _leases[lease] = (ttlMs, time.NowMs + ttlMs);
        time.After(ttlMs, () => Expire(lease));
        return lease;
    }

    public bool KeepAlive(long lease)
    {
        if (!_leases.TryGetValue(lease, out var known))
        {
            return false;
        }
        _leases[lease] = known with { UntilMs = time.NowMs + known.TtlMs };
        return true;
    }

    public void LoseQuorum() => HasQuorum = false;

    /// <summary>With the new leader every lease starts anew.</summary>
    public void FindQuorum()
    {
        HasQuorum = true;
        foreach (var (lease, known) in _leases.ToList())
        {
            _leases[lease] = known with { UntilMs = time.NowMs + known.TtlMs };
            time.After(known.TtlMs, () => Expire(lease));
        }
    }

    /// <summary>Compares before it writes, so that a copy that comes late undoes nothing.</summary>
    private PutOutcome Put<T>(Dictionary<HostId, Leased<T>> keys, HostId host, T value, long lease, long expectedRevision)
    {
        var known = keys.GetValueOrDefault(host);
        if (known is not null && known.Lease == lease && Equals(known.Value, value))
        {
            return PutOutcome.Done;
        }
        if ((known?.Revision ?? 0) != expectedRevision)
        {
            return PutOutcome.Changed;
        }
        if (!_leases.ContainsKey(lease))
        {
            return PutOutcome.LeaseGone;
        }
        keys[host] = new Leased<T>(value, lease, ++_revision);
        Changed?.Invoke();
        return PutOutcome.Done;
    }

    private void Expire(long lease)
    {
        if (!HasQuorum || !_leases.TryGetValue(lease, out var known))
        {
            return; // a store without a leader lets nothing run out
        }
        if (known.UntilMs > time.NowMs)
        {
            time.At(known.UntilMs, () => Expire(lease));
            return;
        }
        _leases.Remove(lease);
        foreach (var host in _hosts.Where(h => h.Value.Lease == lease).Select(h => h.Key).ToList())
        {
            _hosts.Remove(host);
        }
        foreach (var host in _endpoints.Where(e => e.Value.Lease == lease).Select(e => e.Key).ToList())
        {
            _endpoints.Remove(host);
        }
        Changed?.Invoke();
    }

    private sealed record Leased<T>(T Value, long Lease, long Revision);
}

internal enum PutOutcome
{
    Done,
    Changed,
    LeaseGone,
}
