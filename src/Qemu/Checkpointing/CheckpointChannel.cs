using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Qemu.Outgoing;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Wire;
using Pollux.Wire.Colo;
using Pollux.Wire.Migration;

namespace Pollux.Qemu.Checkpointing;

/// <summary>How long the phases of a checkpoint took, on this side of the socket.</summary>
/// <param name="Pages">Pages in it, zero pages included.</param>
/// <param name="StopWait">From CHECKPOINT_REPLY until QEMU said that the guest is stopped and the state follows.</param>
/// <param name="Transfer">From then until the state was whole.</param>
public readonly record struct CaptureResult(long Pages, TimeSpan StopWait, TimeSpan Transfer);

/// <summary>
/// A stock QEMU as the source of checkpoints: the one place that knows COLO. This side plays the secondary over a Unix socket, but
/// takes the state into memory instead of loading it (migration/colo.c of QEMU; the sequence by version is in docs/qemu.md).
///
/// Life: <see cref="OpenAsync"/> · <see cref="CaptureFirst"/> (the guest runs until its last part, then is stopped) ·
/// <see cref="Resume"/> · then for ever <see cref="WaitForRequest"/>, <see cref="Capture"/> (the guest is stopped),
/// <see cref="Resume"/>. The delayed Resume is the back-pressure. One thread runs it; <see cref="Trigger"/> may be called from any.
/// <see cref="EndAsync"/> from any thread ends it: the guest runs on, unprotected.
/// </summary>
public sealed class CheckpointChannel : IDisposable
{
    private const int FirstDeviceStateLimit = 64 << 20;

    /// <summary>QEMU's own.</summary>
    private const int DefaultDowntimeLimitMs = 300;
    private readonly QmpSession _qmp;
    private readonly Socket _socket;
    private readonly QemuVersion _version;
    private readonly RamStreamScanner _scanner = new(expectHeader: true);
    private readonly byte[] _message = new byte[4];
    private ReadOnlyMemory<byte> _setDelay;
    private bool _first = true;

    private CheckpointChannel(QmpSession qmp, Socket socket, QemuVersion version) => (_qmp, _socket, _version) = (qmp, socket, version);

    public string? MachineType => _scanner.MachineType;
    public IReadOnlyList<RamBlock> Blocks => _scanner.Blocks;

    /// <summary>
    /// Asks a QEMU that runs a guest whether it could be checkpointed: it must know COLO and have no device whose state it cannot save.
    /// </summary>
    /// <exception cref="PolluxException">It could not, in QEMU's words.</exception>
    public static async Task RequireAbleAsync(QmpSession qmp, QemuVersion version, CancellationToken cancellation)
    {
        var capabilities = await qmp.ExecuteAsync("query-migrate-capabilities", null, cancellation).ConfigureAwait(false);
        if (!capabilities.EnumerateArray().Any(c => c.GetProperty("capability").GetString() == "x-colo"))
        {
            throw new PolluxException($"QEMU {version} is built without checkpoints (COLO)", "run 'pollux doctor' to see which QEMU can");
        }
        var migration = await qmp.ExecuteAsync("query-migrate", null, cancellation).ConfigureAwait(false);
        if (migration.TryGetProperty("blocked-reasons", out var reasons))
        {
            throw new PolluxException(
                $"QEMU {version} cannot checkpoint this guest: {string.Join("; ", reasons.EnumerateArray().Select(r => r.GetString()))}",
                "take that device out of the VM and start it anew");
        }
    }

    /// <summary>Tells QEMU to begin. The guest runs on while its RAM is sent.</summary>
    /// <param name="socketPath">A path that does not exist yet, at most 107 bytes.</param>
    /// <param name="intervalMs">QEMU's own timer: the longest time between two checkpoints.</param>
    public static async Task<CheckpointChannel> OpenAsync(QmpSession qmp, QemuVersion version, string socketPath, int intervalMs, CancellationToken cancellation)
    {
        try
        {
            // x-ignore-shared is left over in a QEMU that took over: with it no RAM would come. The others are what a live migration leaves that
            // came to nothing: QEMU would wait for a word before the first cut, and stop the guest for the whole first copy.
            var capabilities = new JsonArray
            {
                Capability("x-ignore-shared", false), Capability("x-colo", true), Capability("return-path", NeedsReturnPath(version)),
                Capability("pause-before-switchover", false), Capability("auto-converge", false),
            };
            await qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, cancellation).ConfigureAwait(false);
            // max-bandwidth would throttle checkpoints as well; QEMU takes at most 2^63-1 bytes/s, this is 100 GB/s.
            await qmp.ExecuteAsync("migrate-set-parameters", new JsonObject { ["x-checkpoint-delay"] = intervalMs, ["max-bandwidth"] = 100_000_000_000, ["downtime-limit"] = DefaultDowntimeLimitMs }, cancellation).ConfigureAwait(false);
            var socket = await OutgoingStream.OpenAsync(qmp, socketPath, cancellation).ConfigureAwait(false);
            var channel = new CheckpointChannel(qmp, socket, version);
            channel.SetInterval(intervalMs, apply: false);
            return channel;
        }
        catch (QmpCommandException e)
        {
            throw new PolluxException($"QEMU {version} does not checkpoint: {e.Message}", "run 'pollux doctor' to see which QEMU can", e);
        }
    }

    /// <summary>
    /// Reads the first full copy: RAM while the guest runs, then, with the guest stopped, the rest and the device state.
    /// Returns with the guest stopped.
    /// </summary>
    public void CaptureFirst(ICheckpointBuffer buffer)
    {
        var commands = new CommandSink(_socket, _version);
        var rest = ReadRam(buffer, ref commands);
        ReadFirstDeviceState(buffer, rest);
    }

    /// <summary>Lets the guest run. After the first copy this also opens the cycle of checkpoints.</summary>
    public void Resume()
    {
        if (!_first)
        {
            Send(ColoMessage.VmstateLoaded);
            return;
        }
        _first = false;
        if (NeedsReturnPath(_version))
        {
            // The return path of the first copy ends before the first COLO message (MIG_RP_MSG_SHUT, no error).
            ReadOnlySpan<byte> shut = [0, 1, 0, 4, 0, 0, 0, 0];
            Descriptor.SendAll(_socket.SafeHandle, shut);
        }
        Send(ColoMessage.CheckpointReady);
    }

    /// <summary>Waits until QEMU wants to cut. False when it has ended the channel.</summary>
    public bool WaitForRequest()
    {
        if (!TryReceive(out var message))
        {
            return false;
        }
        Expect(ColoMessage.CheckpointRequest, message);
        return true;
    }

    /// <summary>Cuts: the guest stops, its changed pages and device state are read. Returns with the guest stopped.</summary>
    public CaptureResult Capture(ICheckpointBuffer buffer)
    {
        var start = Stopwatch.GetTimestamp();
        Send(ColoMessage.CheckpointReply);
        if (!TryReceive(out var message))
        {
            throw new EndOfStreamException("QEMU closed the checkpoint channel instead of stopping the guest");
        }
        Expect(ColoMessage.VmstateSend, message);
        var stopped = Stopwatch.GetTimestamp();
        _scanner.BeginCheckpoint();
        var commands = new CommandSink(_socket, _version);
        var rest = ReadRam(buffer, ref commands);
        ReadDeviceState(buffer, rest);
        Send(ColoMessage.VmstateReceived);
        return new CaptureResult(
            _scanner.Pages + _scanner.ZeroPages, Stopwatch.GetElapsedTime(start, stopped), Stopwatch.GetElapsedTime(stopped));
    }

    /// <summary>
    /// Asks for a checkpoint now. One that is sent while a checkpoint is under way can be lost (QEMU resets the event late), so the
    /// caller asks again after <see cref="Resume"/> if it still wants one.
    /// </summary>
    public void Trigger() => _qmp.PostEncoded(_setDelay);

    /// <summary>Changes QEMU's own timer; also triggers a checkpoint.</summary>
    public void SetInterval(int intervalMs) => SetInterval(intervalMs, apply: true);

    /// <summary>Ends checkpointing; QEMU lets the guest run on. Safe to call at any time, also twice.</summary>
    public async Task EndAsync(CancellationToken cancellation)
    {
        // Both, in this order: the command alone leaves QEMU blocked on our socket when it waits for an answer, and a socket that closes
        // inside a checkpoint leaves the guest stopped until the command comes.
        var ended = EndColoAsync(_qmp, cancellation);
        _socket.Dispose();
        await ended.ConfigureAwait(false);
    }

    /// <summary>Ends COLO on a QEMU whose channel is gone (its keeper died). No error when there is none.</summary>
    public static async Task EndColoAsync(QmpSession qmp, CancellationToken cancellation)
    {
        try
        {
            await qmp.ExecuteAsync("x-colo-lost-heartbeat", null, cancellation).ConfigureAwait(false);
        }
        catch (QmpCommandException)
        {
            // Not in COLO (any more): what is wanted.
        }
    }

    public void Dispose() => _socket.Dispose();

    private static bool NeedsReturnPath(QemuVersion version) => version.Major >= 11;

    private static JsonObject Capability(string name, bool state) => new() { ["capability"] = name, ["state"] = state };

    private void SetInterval(int intervalMs, bool apply)
    {
        _setDelay = QmpSession.Encode("migrate-set-parameters", new JsonObject { ["x-checkpoint-delay"] = intervalMs });
        if (apply)
        {
            Trigger();
        }
    }

    /// <summary>Reads RAM sections into the buffer to their end. Returns what was read beyond.</summary>
    private ReadOnlySpan<byte> ReadRam(ICheckpointBuffer buffer, ref CommandSink commands)
    {
        while (true)
        {
            var space = buffer.RamSpace();
            var read = Descriptor.Receive(_socket.SafeHandle, space, wait: true);
            if (read == 0)
            {
                throw new EndOfStreamException("QEMU closed the checkpoint channel inside the RAM stream");
            }
            var consumed = _scanner.Scan(space[..read], ref commands);
            buffer.RamFilled(read);
            if (_scanner.AtEnd || _scanner.AtDeviceState)
            {
                buffer.RamUnfilled(read - consumed);
                return space[consumed..read];
            }
        }
    }

    /// <summary>Inside a checkpoint: VMSTATE_SIZE (be32), size (be64), then that many bytes.</summary>
    private void ReadDeviceState(ICheckpointBuffer buffer, ReadOnlySpan<byte> rest)
    {
        const int headerBytes = 12;
        Span<byte> header = stackalloc byte[headerBytes];
        var have = Math.Min(rest.Length, headerBytes);
        rest[..have].CopyTo(header);
        ReceiveAll(header[have..]);
        Expect(ColoMessage.VmstateSize, BinaryPrimitives.ReadUInt32BigEndian(header));
        var size = BinaryPrimitives.ReadUInt64BigEndian(header[4..]);
        if (size > FirstDeviceStateLimit)
        {
            throw new WireFormatException($"QEMU announces {size} bytes of device state, the limit is {FirstDeviceStateLimit}");
        }
        rest = rest[have..];
        buffer.AppendDevice(rest);
        var left = (int)size - rest.Length;
        Invariant.Check(left >= 0, "QEMU sends nothing after the device state before it is answered");
        while (left > 0)
        {
            var space = buffer.DeviceSpace();
            space = space[..Math.Min(space.Length, left)];
            ReceiveAll(space);
            buffer.DeviceFilled(space.Length);
            left -= space.Length;
        }
    }

    /// <summary>In the first copy the device sections carry no length: they end where the description that follows them ends.</summary>
    private void ReadFirstDeviceState(ICheckpointBuffer buffer, ReadOnlySpan<byte> rest)
    {
        var state = new byte[Math.Max(256 << 10, 2 * rest.Length)];
        rest.CopyTo(state);
        var used = rest.Length;
        while (true)
        {
            if (DeviceState.TryFindEnd(state.AsSpan(0, used), out var deviceLength, out _))
            {
                buffer.AppendDevice(state.AsSpan(0, deviceLength));
                return;
            }
            if (used == state.Length)
            {
                if (used >= FirstDeviceStateLimit)
                {
                    throw new WireFormatException($"QEMU's device state did not end within {FirstDeviceStateLimit} bytes");
                }
                Array.Resize(ref state, 2 * used);
            }
            var read = Descriptor.Receive(_socket.SafeHandle, state.AsSpan(used), wait: true);
            if (read == 0)
            {
                throw new EndOfStreamException("QEMU closed the checkpoint channel inside the device state");
            }
            used += read;
        }
    }

    private void Send(ColoMessage message)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)message);
        Descriptor.SendAll(_socket.SafeHandle, bytes);
    }

    /// <summary>False when QEMU has closed the channel between two messages.</summary>
    private bool TryReceive(out uint message)
    {
        message = 0;
        var first = Descriptor.Receive(_socket.SafeHandle, _message, wait: true);
        if (first == 0)
        {
            return false;
        }
        ReceiveAll(_message.AsSpan(first));
        message = BinaryPrimitives.ReadUInt32BigEndian(_message);
        return true;
    }

    private void ReceiveAll(Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var read = Descriptor.Receive(_socket.SafeHandle, bytes, wait: true);
            if (read == 0)
            {
                throw new EndOfStreamException("QEMU closed the checkpoint channel in the middle of a checkpoint");
            }
            bytes = bytes[read..];
        }
    }

    private static void Expect(ColoMessage expected, uint message)
    {
        if (message != (uint)expected)
        {
            throw new WireFormatException($"QEMU's COLO message {message} came where {expected} ({(uint)expected}) is expected");
        }
    }

    /// <summary>Answers what QEMU asks inside the stream; pages are only counted (by the scanner).</summary>
    private readonly struct CommandSink(Socket socket, QemuVersion version) : IRamSink
    {
        private const ushort Ping = 2;

        public void OnBlock(int block, string name, ulong length)
        {
        }

        public void OnPage(int block, ulong address, int offset, ReadOnlySpan<byte> piece)
        {
        }

        public void OnZeroPage(int block, ulong address)
        {
        }

        public void OnCommand(ushort command, ReadOnlySpan<byte> payload)
        {
            if (command != Ping || !NeedsReturnPath(version) || payload.Length != 4)
            {
                return;
            }
            // MIG_RP_MSG_PONG: type 2, length 4, the ping's value.
            Span<byte> pong = stackalloc byte[8];
            ReadOnlySpan<byte> header = [0, 2, 0, 4];
            header.CopyTo(pong);
            payload.CopyTo(pong[4..]);
            Descriptor.SendAll(socket.SafeHandle, pong);
        }
    }
}
