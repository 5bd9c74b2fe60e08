using System.Net.Sockets;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;

namespace Pollux.Migration.Streaming;

/// <summary>
/// The destination's end of a live migration. QEMU was started with <see cref="QemuSide.Destination"/>: it waits for the stream, loads it, and
/// stays paused until <see cref="RunAsync"/>. One task uses it.
/// </summary>
public sealed class IncomingMigration : IAsyncDisposable
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan LastWordsPatience = TimeSpan.FromMilliseconds(500);
    private readonly QemuProcess _process;
    private readonly QmpSession _qmp;
    private readonly Socket _socket;
    private long _receivedBytes;
    private long _resumedMicros;

    private IncomingMigration(QemuProcess process, QmpSession qmp, Socket socket)
    {
        (_process, _qmp, _socket) = (process, qmp, socket);
        _qmp.EventReceived += Hear;
    }

    /// <summary>Of QEMU's stream, so far.</summary>
    public long ReceivedBytes => Interlocked.Read(ref _receivedBytes);

    /// <summary>All of the stream has come; QEMU may be loading it yet.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>When the guest began to run here, by QEMU's clock (its RESUME event); null before.</summary>
    public double? ResumedUnixMs => Interlocked.Read(ref _resumedMicros) is > 0 and var micros ? micros / 1000.0 : null;

    /// <summary>Makes QEMU listen, and connects to it.</summary>
    /// <param name="socketPath">At most 107 bytes; there for a moment only.</param>
    public static async Task<IncomingMigration> PrepareAsync(QemuProcess process, QmpSession qmp, string socketPath, CancellationToken cancellation)
    {
        File.Delete(socketPath);
        JsonArray capabilities = [Capability("x-ignore-shared", false), Capability("x-colo", false), Capability("return-path", false), Capability("events", true)];
        await qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, cancellation).ConfigureAwait(false);
        await qmp.ExecuteAsync("migrate-incoming", new JsonObject { ["uri"] = $"unix:{socketPath}" }, cancellation).ConfigureAwait(false);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        finally
        {
            File.Delete(socketPath);
        }
        return new IncomingMigration(process, qmp, socket);
    }

    /// <summary>
    /// Copies the stream into QEMU until its end, and returns when QEMU has loaded it and is paused. The link then stands behind the stream's
    /// end and stays open; on any failure, and when cancelled, it is closed.
    /// </summary>
    /// <param name="bytes">How many the source says there are, if that is known beforehand.</param>
    /// <exception cref="PolluxException">QEMU refused the state, with its own words, or the link broke. This QEMU is of no more use.</exception>
    public async Task ReceiveAsync(Stream link, long? bytes, CancellationToken cancellation)
    {
        var whole = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() => Run(link, whole)) { IsBackground = true, Name = "migration in" };
        thread.Start();
        try
        {
            await whole.Task.WaitAsync(cancellation).ConfigureAwait(false);
            if (bytes is { } announced && announced != ReceivedBytes)
            {
                throw new PolluxException($"{ReceivedBytes} bytes of the guest's state came, the source sent {announced}");
            }
            IsWhole = true;
            _socket.Shutdown(SocketShutdown.Send);
            await UntilPausedAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            await link.DisposeAsync().ConfigureAwait(false);
            CloseQemu();
            thread.Join();
            throw e is LinuxException or SocketException or QmpClosedException ? new PolluxException($"QEMU did not take the state in: {await LastWordsAsync().ConfigureAwait(false)}", null, e) : e;
        }
        thread.Join();
    }

    /// <summary>Lets the guest run here; returns when it does.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await _qmp.ExecuteAsync("cont", null, cancellation).ConfigureAwait(false);
        while (await StateAsync(cancellation).ConfigureAwait(false) is not "running" and var state)
        {
            if (state is not ("paused" or "postmigrate" or "prelaunch"))
            {
                throw new PolluxException($"the guest does not run at the destination: it is in the state '{state}'", "look at the VM's log");
            }
            await Task.Delay(LookAgain, cancellation).ConfigureAwait(false);
        }
    }

    public ValueTask DisposeAsync()
    {
        _qmp.EventReceived -= Hear;
        CloseQemu();
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Run(Stream link, TaskCompletionSource whole)
    {
        try
        {
            var chunk = GC.AllocateUninitializedArray<byte>(ChunkFrames.MaxBytes, pinned: true);
            while (ChunkFrames.Read(link, chunk) is > 0 and var length)
            {
                Descriptor.SendAll(_socket.SafeHandle, chunk.AsSpan(0, length));
                Interlocked.Add(ref _receivedBytes, length);
            }
            whole.TrySetResult();
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            whole.TrySetException(new PolluxException(
                $"the migration's link to the source broke after {ReceivedBytes >> 20} MiB: {e.Message}", "the VM stays where it was; see the source", e));
        }
        catch (Exception e)
        {
            // LinuxException: QEMU closed its end. The others: no stream of ours.
            whole.TrySetException(e);
        }
        finally
        {
            _ = whole.Task.Exception;
        }
    }

    private async Task UntilPausedAsync(CancellationToken cancellation)
    {
        while (await StateAsync(cancellation).ConfigureAwait(false) is not "paused" and var state)
        {
            // Between the two QEMU is in inmigrate; anything else is the state that the guest had at the source.
            if (state != "inmigrate")
            {
                throw new PolluxException($"the guest came to the destination in the state '{state}'", "look at its console at the source");
            }
            await Task.Delay(LookAgain, cancellation).ConfigureAwait(false);
        }
    }

    private async Task<string> StateAsync(CancellationToken cancellation) =>
        (await _qmp.ExecuteAsync("query-status", null, cancellation).ConfigureAwait(false)).GetProperty("status").GetString()!;

    private async Task<string> LastWordsAsync()
    {
        await Task.WhenAny(_process.Exited, Task.Delay(LastWordsPatience)).ConfigureAwait(false);
        return _process.Exited.IsCompleted ? await _process.Exited.ConfigureAwait(false) : "it gave no reason";
    }

    private void CloseQemu()
    {
        try
        {
            Descriptor.ShutDown(_socket.SafeHandle);
        }
        catch (Exception e) when (e is LinuxException or ObjectDisposedException)
        {
            System.Diagnostics.Debug.WriteLine(e.Message);
        }
    }

    private void Hear(QmpEvent e)
    {
        if (e.Name == "RESUME")
        {
            Interlocked.CompareExchange(ref _resumedMicros, e.TimestampMicros, 0);
        }
    }

    private static JsonObject Capability(string name, bool state) => new() { ["capability"] = name, ["state"] = state };
}
