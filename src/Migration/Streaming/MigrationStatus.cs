using System.Text.Json;

namespace Pollux.Migration.Streaming;

/// <summary>What QEMU says of a migration (<c>query-migrate</c>; QEMU's <c>qapi/migration.json</c>).</summary>
/// <param name="Phase">none, setup, active, pre-switchover, device, completed, cancelling, cancelled, failed.</param>
/// <param name="Iteration">0 before the first look at the dirty log.</param>
/// <param name="ThrottlePercent">0 when QEMU does not hold the guest back.</param>
/// <param name="Error">QEMU's own words, if it failed and has any.</param>
internal sealed record MigrationStatus(string Phase, long RemainingBytes, long Iteration, double DirtyPagesPerSecond, int ThrottlePercent, string? Error)
{
    public static MigrationStatus Parse(JsonElement answer)
    {
        var ram = answer.TryGetProperty("ram", out var r) ? r : default;
        return new MigrationStatus(
            answer.TryGetProperty("status", out var status) ? status.GetString()! : "none",
            Number(ram, "remaining"), Number(ram, "dirty-sync-count"), Number(ram, "dirty-pages-rate"), (int)Number(answer, "cpu-throttle-percentage"),
            answer.TryGetProperty("error-desc", out var error) ? error.GetString() : null);
    }

    private static long Number(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value.GetInt64() : 0;
}
