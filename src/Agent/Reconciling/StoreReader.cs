using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Reconciling;

/// <summary>Reads the store's entries as what they mean.</summary>
internal static class StoreReader
{
    /// <summary>A host whose entry cannot be read counts as not alive.</summary>
    public static IReadOnlyDictionary<HostId, HostRecord> Hosts(IEnumerable<StoreEntry> entries)
    {
        var hosts = new Dictionary<HostId, HostRecord>();
        foreach (var entry in entries)
        {
            try
            {
                var host = Read(entry, StoreJson.Default.HostRecord);
                hosts[host.Host] = host;
            }
            catch (PolluxException)
            {
                // Its agent writes it anew with its next lease.
            }
        }
        return hosts;
    }

    /// <summary>Entries under names that no VM can have are left out.</summary>
    public static IReadOnlyDictionary<VmName, VmView> Vms(IEnumerable<StoreEntry> entries)
    {
        var vms = new Dictionary<VmName, VmView>();
        foreach (var group in entries.GroupBy(e => e.Key[StoreKeys.Vms.Length..].Split('/')[0]))
        {
            if (NameOf(group.Key) is { } name)
            {
                vms[name] = Vm(name, [.. group]);
            }
        }
        return vms;
    }

    public static VmView Vm(VmName name, IReadOnlyList<StoreEntry> entries)
    {
        try
        {
            var record = entries.FirstOrDefault(e => e.Key == StoreKeys.Vm(name));
            var role = entries.FirstOrDefault(e => e.Key == StoreKeys.Role(name));
            var assignment = entries.FirstOrDefault(e => e.Key == StoreKeys.Assignment(name));
            var endpoints = entries.Where(e => e.Key.StartsWith(StoreKeys.Endpoint(name, new HostId("")), StringComparison.Ordinal))
                .Select(e => Read(e, StoreJson.Default.StandbyEndpoint));
            return new VmView(
                name,
                record is null ? null : Read(record, StoreJson.Default.VmRecord),
                role is null ? null : Role.FromJson(role.Value),
                assignment is null ? null : Read(assignment, StoreJson.Default.StandbyAssignment),
                assignment?.ModRevision ?? 0,
                endpoints.ToDictionary(e => e.Host),
                RoleRevision: role?.ModRevision ?? 0);
        }
        catch (Exception e) when (e is PolluxException or ArgumentException)
        {
            // Two endpoints that name the same host are no dictionary.
            return VmView.Unknown(name) with { Damage = e.Message };
        }
    }

    private static VmName? NameOf(string text)
    {
        try
        {
            return VmName.Create(text);
        }
        catch (PolluxException)
        {
            return null;
        }
    }

    private static T Read<T>(StoreEntry entry, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(entry.Value, type) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new PolluxException($"{entry.Key} in the store cannot be read: {e.Message}", "restore it from a backup of etcd", e);
        }
    }
}
