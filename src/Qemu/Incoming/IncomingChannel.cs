using System.Buffers;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Linux.Io;
using Pollux.Wire.Migration;

namespace Pollux.Qemu.Incoming;

/// <summary>
/// A QEMU that waits for a guest's state, its RAM already in the file that it maps. Everything that can be done beforehand is done by
/// <see cref="PrepareAsync"/>; <see cref="LoadAsync"/> sends the small rest, so its time does not grow with the guest's RAM.
/// </summary>
public sealed class IncomingChannel : IDisposable
{
    private readonly QemuProcess _process;
    private readonly QmpSession _qmp;
    private readonly Socket _socket;

    private IncomingChannel(QemuProcess process, QmpSession qmp, Socket socket) => (_process, _qmp, _socket) = (process, qmp, socket);

    /// <summary>Makes a QEMU that was started with <c>-incoming defer</c> listen, and connects to it.</summary>
    public static async Task<IncomingChannel> PrepareAsync(QemuProcess process, QmpSession qmp, string socketPath, CancellationToken cancellation)
    {
        File.Delete(socketPath);
        var capabilities = new JsonArray { new JsonObject { ["capability"] = "x-ignore-shared", ["state"] = true } };
        await qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, cancellation).ConfigureAwait(false);
        await qmp.ExecuteAsync("migrate-incoming", new JsonObject { ["uri"] = $"unix:{socketPath}" }, cancellation).ConfigureAwait(false);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
        File.Delete(socketPath);
        return new IncomingChannel(process, qmp, socket);
    }

    /// <summary>Loads the state. Returns when the guest runs, or is loaded and paused if QEMU was started so.</summary>
    /// <exception cref="PolluxException">QEMU refused the state or died; with its own words.</exception>
    public async Task LoadAsync(string machineType, IReadOnlyList<TakeoverBlock> blocks, byte[] deviceState, TimeSpan within)
    {
        var stream = new ArrayBufferWriter<byte>(deviceState.Length + (1 << 20));
        TakeoverStream.Compose(stream, machineType, blocks, deviceState);
        using var deadline = new WatchedPatience(within);
        try
        {
            Send(stream.WrittenSpan, deadline.Token);
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or LinuxException)
        {
            throw new PolluxException($"QEMU refused the state: {await LastWordsAsync().ConfigureAwait(false)}", null, e);
        }
        while (!await IsLoadedAsync(deadline.Token).ConfigureAwait(false))
        {
            if (_process.Exited.IsCompleted)
            {
                throw new PolluxException($"QEMU refused the state: {await _process.Exited.ConfigureAwait(false)}");
            }
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>A QEMU that hangs reads nothing, and a send that waits for it knows no deadline.</summary>
    private void Send(ReadOnlySpan<byte> state, CancellationToken deadline)
    {
        const int lookMs = 20;
        while (state.Length > 0)
        {
            var sent = Descriptor.Send(_socket.SafeHandle, state, wait: false);
            if (sent >= 0)
            {
                state = state[sent..];
                continue;
            }
            if (deadline.IsCancellationRequested)
            {
                throw new PolluxException("QEMU did not take the state in time");
            }
            Descriptor.Poll(_socket.SafeHandle, PollEvents.Writable, lookMs);
        }
    }

    private async Task<bool> IsLoadedAsync(CancellationToken cancellation)
    {
        try
        {
            var answer = await _qmp.ExecuteAsync("query-status", null, cancellation).ConfigureAwait(false);
            return answer.GetProperty("status").GetString() switch
            {
                "running" or "paused" => true,
                "internal-error" => throw new PolluxException("the guest is in an internal error after loading"),
                _ => false, // inmigrate
            };
        }
        catch (QmpClosedException e)
        {
            throw new PolluxException($"QEMU refused the state: {await LastWordsAsync().ConfigureAwait(false)}", null, e);
        }
        catch (OperationCanceledException e)
        {
            throw new PolluxException("QEMU did not load the state in time", null, e);
        }
    }

    private async Task<string> LastWordsAsync()
    {
        await Task.WhenAny(_process.Exited, Task.Delay(TimeSpan.FromMilliseconds(500))).ConfigureAwait(false);
        return _process.Exited.IsCompleted ? await _process.Exited.ConfigureAwait(false) : "it gave no reason";
    }
}
