using Pollux.Core;
using Pollux.Qemu.Qmp;

namespace Pollux.Qemu.Outgoing;

/// <summary>
/// The end of a live migration whose keeper died, or that nobody took, on a QEMU that is kept: nothing of it stays, and the guest runs. Only for who may run it; the
/// source's QEMU and the destination's are alike here.
/// </summary>
public static class StrayMigration
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);

    /// <remarks>As long as it takes: a QEMU that does not answer may be waiting for a disk, and its guest is the only copy.</remarks>
    /// <exception cref="PolluxException">QEMU died.</exception>
    public static async Task EndAsync(QmpSession qmp, CancellationToken cancellation)
    {
        if (await IsUnderWayAsync(qmp, cancellation).ConfigureAwait(false))
        {
            await qmp.ExecuteAsync("migrate_cancel", null, cancellation).ConfigureAwait(false);
        }
        while (await IsUnderWayAsync(qmp, cancellation).ConfigureAwait(false) || await RunStateAsync(qmp, cancellation).ConfigureAwait(false) == "finish-migrate")
        {
            await Task.Delay(LookAgain, cancellation).ConfigureAwait(false);
        }
        // A guest that was handed over, or that has arrived, waits for the word of who may run it.
        if (await RunStateAsync(qmp, cancellation).ConfigureAwait(false) is "postmigrate" or "paused")
        {
            await qmp.ExecuteAsync("cont", null, cancellation).ConfigureAwait(false);
        }
    }

    private static async Task<bool> IsUnderWayAsync(QmpSession qmp, CancellationToken cancellation)
    {
        var migration = await qmp.ExecuteAsync("query-migrate", null, cancellation).ConfigureAwait(false);
        return migration.TryGetProperty("status", out var status) && status.GetString() is "setup" or "active" or "pre-switchover" or "device" or "cancelling";
    }

    private static async Task<string?> RunStateAsync(QmpSession qmp, CancellationToken cancellation) =>
        (await qmp.ExecuteAsync("query-status", null, cancellation).ConfigureAwait(false)).GetProperty("status").GetString();
}
