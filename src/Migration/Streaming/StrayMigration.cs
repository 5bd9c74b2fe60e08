using Pollux.Core;
using Pollux.Qemu.Qmp;

namespace Pollux.Migration.Streaming;

/// <summary>
/// The end of a live migration whose keeper died, on a QEMU that is kept: nothing of it stays, and the guest runs. Only for who may run it; the
/// source's QEMU and the destination's are alike here.
/// </summary>
public static class StrayMigration
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);

    /// <exception cref="PolluxException">QEMU died or does not clear up within 20 s.</exception>
    public static async Task EndAsync(QmpSession qmp, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Patience);
        try
        {
            if (await IsUnderWayAsync(qmp, patience.Token).ConfigureAwait(false))
            {
                await qmp.ExecuteAsync("migrate_cancel", null, patience.Token).ConfigureAwait(false);
            }
            while (await IsUnderWayAsync(qmp, patience.Token).ConfigureAwait(false) || await RunStateAsync(qmp, patience.Token).ConfigureAwait(false) == "finish-migrate")
            {
                await Task.Delay(LookAgain, patience.Token).ConfigureAwait(false);
            }
            // A guest that was handed over, or that has arrived, waits for the word of who may run it.
            if (await RunStateAsync(qmp, patience.Token).ConfigureAwait(false) is "postmigrate" or "paused")
            {
                await qmp.ExecuteAsync("cont", null, patience.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new PolluxException($"QEMU has not cleared away its migration within {Patience.TotalSeconds:0} s", "look at the VM's log; ending its QEMU ends the guest", e);
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
