using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Linux.Io;
using Pollux.Linux.Net;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Network;

/// <summary>
/// One NIC of a guest: frames between QEMU's <c>-netdev stream</c> socket (be32 length, then the frame) and a TAP device. Egress goes
/// through the <see cref="EgressGate"/>; ingress is copied for the standby and passed on, but for the moment in which QEMU stops the guest
/// (<see cref="HoldIngress"/>). Before <see cref="Listen"/> a standby's port is up, but nobody is behind it: only the last moment's ingress is
/// kept (<see cref="EarlyFrames"/>).
/// </summary>
public sealed class NicRelay : IDisposable
{
    private const int MaxFrameBytes = 65_535;
    private const int StagingBytes = 512 << 10;
    private const int LengthBytes = 4;
    private const int PollMs = 200;
    private static readonly TimeSpan DrainPatience = TimeSpan.FromMilliseconds(2);

    private readonly int _nic;
    private readonly Socket _qemu;
    private readonly TapDevice _tap;
    private readonly EgressGate _gate;
    private readonly Func<int, ReadOnlySpan<byte>, bool> _copy;
    private readonly Action<string> _failed;
    private readonly Lock _egressLock = new();
    private readonly Lock _ingressLock = new();
    private readonly ManualResetEventSlim _flows = new(true);
    private readonly EarlyFrames _early = new();
    private readonly byte[] _staging = GC.AllocateUninitializedArray<byte>(StagingBytes, pinned: true);
    private readonly byte[] _outgoing = GC.AllocateUninitializedArray<byte>(LengthBytes + MaxFrameBytes, pinned: true);
    private readonly byte[] _incoming = GC.AllocateUninitializedArray<byte>(MaxFrameBytes, pinned: true);
    private readonly Thread _egress;
    private readonly Thread _ingress;
    private volatile bool _closed;
    private int _staged;

    /// <param name="copy">Takes a copy of an ingress frame for the standby.</param>
    /// <param name="failed">Called when QEMU's end is gone.</param>
    public NicRelay(int nic, Socket qemu, TapDevice tap, EgressGate gate, Func<int, ReadOnlySpan<byte>, bool> copy, Action<string> failed)
    {
        (_nic, _qemu, _tap, _gate, _copy, _failed) = (nic, qemu, tap, gate, copy, failed);
        _egress = new Thread(RunEgress) { IsBackground = true, Name = $"{tap.Name} egress" };
        _ingress = new Thread(RunIngress) { IsBackground = true, Name = $"{tap.Name} ingress" };
    }

    public long IngressFrames { get; private set; }
    public long IngressDropped { get; private set; }

    public void Start()
    {
        _egress.Start();
        _ingress.Start();
    }

    /// <summary>Ingress reaches the guest from now on, that of the last moment first.</summary>
    /// <param name="own">What the guest sends by itself must not come back to it.</param>
    public void Listen(SourceTable own)
    {
        // Taken before the early frames' own lock, as by the thread that keeps them.
        lock (_ingressLock)
        {
            _early.HandOver(frame => own.Contains(_nic, frame), GiveToGuest);
        }
    }

    /// <summary>
    /// Reads what the guest has already sent. Called while the guest is stopped for a cut, so that its last frames belong to the
    /// epoch that ends and not, late, to the next.
    /// </summary>
    public void DrainEgress()
    {
        lock (_egressLock)
        {
            while (!_closed && ReadSome() > 0)
            {
            }
        }
    }

    /// <summary>
    /// Gives QEMU no more ingress, and waits until it has taken what it was given. A QEMU that stops its guest throws away every frame that
    /// it reads between the stop's beginning and its end (do_vm_stop and net_vm_change_state_handler of QEMU 7.2), and the client would
    /// have to send it again, after 200 ms. The TAP's queue keeps what comes meanwhile. A QEMU that does not take it in time may lose some.
    /// </summary>
    public void HoldIngress()
    {
        _flows.Reset();
        lock (_ingressLock)
        {
            var since = Stopwatch.GetTimestamp();
            while (!_closed && Descriptor.Unread(_qemu) > 0 && Stopwatch.GetElapsedTime(since) < DrainPatience)
            {
                Thread.Yield();
            }
        }
    }

    /// <summary>Takes what came since <see cref="HoldIngress"/>, as far as there is room; it reaches nobody else.</summary>
    public void TakeHeldIngress(Span<byte> batch, ref int used)
    {
        lock (_ingressLock)
        {
            while (!_flows.IsSet && batch.Length - used >= MaxFrameBytes && Descriptor.Read(_tap.Handle, _incoming) is > 0 and var read)
            {
                FrameBatch.TryAppend(batch, ref used, _nic, _incoming.AsSpan(0, read));
            }
        }
    }

    /// <summary>Ends <see cref="HoldIngress"/>: the guest is stopped, or runs.</summary>
    public void PassIngress() => _flows.Set();

    /// <summary>Gives a frame to the guest; dropped when QEMU's queue is full, as a NIC does.</summary>
    public void GiveToGuest(ReadOnlySpan<byte> frame)
    {
        lock (_ingressLock)
        {
            BinaryPrimitives.WriteInt32BigEndian(_outgoing, frame.Length);
            frame.CopyTo(_outgoing.AsSpan(LengthBytes));
            var message = _outgoing.AsSpan(0, LengthBytes + frame.Length);
            var sent = Descriptor.Send(_qemu.SafeHandle, message, wait: false);
            if (sent < 0)
            {
                IngressDropped++;
                return;
            }
            IngressFrames++;
            // A part of a frame was taken: the rest must follow, or the stream is out of step.
            Descriptor.SendAll(_qemu.SafeHandle, message[sent..]);
        }
    }

    /// <summary>Puts a frame on the network; lost if the device does not take it, as on any wire.</summary>
    public void SendToNetwork(ReadOnlySpan<byte> frame) => Descriptor.TryWrite(_tap.Handle, frame);

    public void Dispose()
    {
        _closed = true;
        _flows.Set();
        _qemu.Dispose();
        if (_ingress.IsAlive && Thread.CurrentThread != _ingress)
        {
            _ingress.Join(TimeSpan.FromSeconds(1));
        }
        _tap.Dispose();
        _early.Dispose();
    }

    private void RunEgress()
    {
        try
        {
            while (!_closed)
            {
                if (Descriptor.Poll(_qemu.SafeHandle, PollEvents.Readable, PollMs) == PollEvents.None)
                {
                    continue;
                }
                bool full;
                lock (_egressLock)
                {
                    var read = ReadSome();
                    if (read == 0)
                    {
                        break;
                    }
                    full = _staged == StagingBytes || HasWholeFrame();
                }
                if (full)
                {
                    _gate.WaitForRoom(PollMs);
                }
            }
        }
        catch (Exception e) when (e is LinuxException or ObjectDisposedException or PolluxException)
        {
            Fail(e.Message);
            return;
        }
        Fail("QEMU closed its network socket");
    }

    /// <summary>Reads once without waiting and offers every whole frame. 0: end of stream; -1: nothing there (or no room).</summary>
    private int ReadSome()
    {
        OfferStaged();
        if (_staged == StagingBytes)
        {
            return -1;
        }
        var read = Descriptor.Receive(_qemu.SafeHandle, _staging.AsSpan(_staged), wait: false);
        if (read > 0)
        {
            _staged += read;
            OfferStaged();
        }
        return read;
    }

    private void OfferStaged()
    {
        var at = 0;
        while (TryFrame(_staging.AsSpan(at, _staged - at), out var length) && _gate.TryOffer(_nic, _staging.AsSpan(at + LengthBytes, length)))
        {
            at += LengthBytes + length;
        }
        if (at > 0)
        {
            _staging.AsSpan(at, _staged - at).CopyTo(_staging);
            _staged -= at;
        }
    }

    private bool HasWholeFrame() => TryFrame(_staging.AsSpan(0, _staged), out _);

    private static bool TryFrame(ReadOnlySpan<byte> bytes, out int length)
    {
        length = 0;
        if (bytes.Length < LengthBytes)
        {
            return false;
        }
        length = BinaryPrimitives.ReadInt32BigEndian(bytes);
        if (length is <= 0 or > MaxFrameBytes)
        {
            throw new PolluxException($"QEMU's network socket announces a frame of {length} bytes, the limit is {MaxFrameBytes}");
        }
        return bytes.Length >= LengthBytes + length;
    }

    private void RunIngress()
    {
        try
        {
            while (!_closed)
            {
                if (Descriptor.Poll(_tap.Handle, PollEvents.Readable, PollMs) == PollEvents.None)
                {
                    continue;
                }
                if (_flows.Wait(PollMs))
                {
                    while (!_closed && PassOne())
                    {
                    }
                }
            }
        }
        catch (Exception e) when (e is LinuxException or ObjectDisposedException)
        {
            Fail(e.Message);
        }
    }

    /// <summary>False when there is nothing, or it must wait.</summary>
    private bool PassOne()
    {
        lock (_ingressLock)
        {
            int read;
            if (!_flows.IsSet || (read = Descriptor.Read(_tap.Handle, _incoming)) <= 0)
            {
                return false;
            }
            var frame = _incoming.AsSpan(0, read);
            if (!_early.TryKeep(_nic, frame))
            {
                _copy(_nic, frame);
                GiveToGuest(frame);
            }
            return true;
        }
    }

    private void Fail(string why)
    {
        if (!_closed)
        {
            _failed(why);
        }
    }
}
