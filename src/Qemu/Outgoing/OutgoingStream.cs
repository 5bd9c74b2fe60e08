using System.Net.Sockets;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Qemu.Qmp;

namespace Pollux.Qemu.Outgoing;

/// <summary>The stream in which a QEMU gives its guest away, a live migration's or that of checkpoints: how it is asked for.</summary>
public static class OutgoingStream
{
    private static readonly TimeSpan ConnectWithin = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ClearWithin = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);

    /// <summary>Orders it, with the capabilities and parameters that are set, and takes QEMU's connection. Whatever fails, nothing of it is left in QEMU.</summary>
    /// <param name="socketPath">At most 107 bytes. The file is gone afterwards.</param>
    /// <exception cref="QmpCommandException">QEMU refused, in its own words.</exception>
    /// <exception cref="PolluxException">QEMU did not connect, or has not cleared away what was before.</exception>
    public static async Task<Socket> OpenAsync(QmpSession qmp, string socketPath, CancellationToken cancellation)
    {
        File.Delete(socketPath);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        listener.Listen(1);
        try
        {
            await OrderAsync(qmp, socketPath, cancellation).ConfigureAwait(false);
            var socket = await listener.AcceptAsync(cancellation).AsTask().WaitAsync(ConnectWithin, cancellation).ConfigureAwait(false);
            socket.Blocking = true;
            return socket;
        }
        catch (Exception e)
        {
            // The order may have been carried out, though nobody heard of it or took the connection: nobody else would end that.
            await UndoAsync(qmp).ConfigureAwait(false);
            throw e is TimeoutException ? new PolluxException($"QEMU was told to send its guest, but did not connect within {ConnectWithin.TotalSeconds:0} s", "look at the VM's log", e) : e;
        }
        finally
        {
            File.Delete(socketPath);
        }
    }

    /// <summary>
    /// Tells QEMU to connect, once nothing is left of a stream that ended before. QEMU (7.2: qmp_migrate, migrate_init) clears the
    /// state under a migration thread that has not ended yet, and dies of it; <c>query-migrate</c> says <c>completed</c> long before.
    /// </summary>
    public static async Task OrderAsync(QmpSession qmp, string socketPath, CancellationToken cancellation)
    {
        for (var waited = TimeSpan.Zero; await IsThereAsync(qmp, cancellation).ConfigureAwait(false); waited += LookAgain)
        {
            if (waited > ClearWithin)
            {
                throw new PolluxException($"QEMU has not cleared away its last migration for {ClearWithin.TotalSeconds:0} s", "try again; if it stays so, move the VM to another QEMU");
            }
            await Task.Delay(LookAgain, cancellation).ConfigureAwait(false);
        }
        await qmp.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"unix:{socketPath}" }, cancellation).ConfigureAwait(false);
    }

    /// <summary>Whether anything of one is left in QEMU: its yank instance goes last.</summary>
    public static async Task<bool> IsThereAsync(QmpSession qmp, CancellationToken cancellation)
    {
        var instances = await qmp.ExecuteAsync("query-yank", null, cancellation).ConfigureAwait(false);
        return instances.EnumerateArray().Any(i => i.GetProperty("type").GetString() == "migration");
    }

    private static async Task UndoAsync(QmpSession qmp)
    {
        using var patience = new CancellationTokenSource(ClearWithin);
        try
        {
            await StrayMigration.EndAsync(qmp, patience.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is PolluxException or OperationCanceledException)
        {
            // QEMU is gone or hangs: its owner sees that too.
        }
    }
}
