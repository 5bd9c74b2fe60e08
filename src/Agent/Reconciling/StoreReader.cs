using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Agent.Reconciling;

/// <summary>Reads the store's entries as what they mean.</summary>
internal static class StoreReader
{
    public static IReadOnlyDictionary<HostId, HostRecord> Hosts(IEnumerable<StoreEntry> entries) =>
        entries.Select(e => Read(e, StoreJson.Default.HostRecord)).ToDictionary(h => h.Host);

    public static IReadOnlyDictionary<VmName, VmView> Vms(IEnumerable<StoreEntry> entries) => entries
        .GroupBy(e => e.Key[StoreKeys.Vms.Length..].Split('/')[0])
        .Select(g => Vm(VmName.Create(g.Key), [.. g]))
        .ToDictionary(v => v.Name);

    public static VmView Vm(VmName name, IReadOnlyList<StoreEntry> entries)
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
            endpoints.ToDictionary(e => e.Host));
    }

    private static T Read<T>(StoreEntry entry, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(entry.Value, type) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new PolluxException($"{entry.Key} in the store cannot be read: {e.Message}", "restore it from a backup of etcd", e);
        }
    }
}
