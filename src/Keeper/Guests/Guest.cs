using System.Net.Sockets;
using Pollux.Core;
using Pollux.Linux.Net;
using Pollux.Linux.Processes;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Qemu.Spec;
using Pollux.Replication.Network;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Guests;

/// <summary>
/// The VM on this host: its QEMU, the QMP session, its NICs between QEMU and the bridge. It is the same object on both sides: a standby's
/// guest waits, with its ports up and deaf; a takeover makes it run.
/// </summary>
internal sealed class Guest : IAsyncDisposable
{
    private readonly List<NicRelay> _nics = [];
    private readonly VmSpec _spec;
    private readonly string _runDirectory;
    private volatile bool _exited;

    private Guest(VmSpec spec, QemuProcess process, QmpSession qmp, QemuVersion version, string runDirectory)
    {
        (_spec, Process, Qmp, Version, _runDirectory) = (spec, process, qmp, version, runDirectory);
        Egress = new EgressGate(new Taps(this));
    }

    public QemuProcess Process { get; }
    public QmpSession Qmp { get; }
    public QemuVersion Version { get; }
    public EgressGate Egress { get; }
    public IngressCopies Ingress { get; } = new();
    public SourceTable Sources { get; } = new();
    public bool HasExited => _exited;

    public bool IsDying => _exited || Process.IsDying;

    public long ReplayedFrames { get; private set; }
    public long RepeatedFrames { get; private set; }

    /// <summary>Takes charge of a running QEMU: connects to its QMP and its NICs' sockets, and opens the TAP devices.</summary>
    /// <exception cref="HostNetworkException">It could be done, but for this host's network.</exception>
    /// <param name="died">Called once, when QEMU is gone, with the reason.</param>
    /// <param name="cutOff">Called when a NIC's relay fails, with the reason; also when QEMU ends.</param>
    /// <param name="copied">Called after an ingress frame was copied for the standby.</param>
    public static async Task<Guest> AttachAsync(
        VmSpec spec, QemuProcess process, QemuVersion version, string runDirectory, Action<string> died, Action<string> cutOff, Action copied, CancellationToken cancellation)
    {
        var qmp = await QmpSession.ConnectAsync(Path.Combine(runDirectory, "qmp.sock"), TimeSpan.FromSeconds(20), cancellation).ConfigureAwait(false);
        var guest = new Guest(spec, process, qmp, version, runDirectory);
        try
        {
            for (var nic = 0; nic < spec.Nics.Count; nic++)
            {
                await guest.AttachNicAsync(nic, cutOff, copied, cancellation).ConfigureAwait(false);
            }
        }
        catch
        {
            await guest.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        _ = guest.WatchAsync(died);
        return guest;
    }

    /// <summary>Ingress reaches the guest from now on.</summary>
    public void Listen()
    {
        foreach (var nic in _nics)
        {
            nic.Listen(Sources);
        }
    }

    /// <summary>No frame reaches QEMU while it stops the guest: it would lose it.</summary>
    public void HoldIngress()
    {
        foreach (var nic in _nics)
        {
            nic.HoldIngress();
        }
    }

    /// <summary>Ends <see cref="HoldIngress"/>.</summary>
    public void PassIngress()
    {
        foreach (var nic in _nics)
        {
            nic.PassIngress();
        }
    }

    /// <summary>What came since <see cref="HoldIngress"/>, a <see cref="FrameBatch"/>: for the guest's copy on another host.</summary>
    public byte[] TakeHeldIngress()
    {
        var batch = new byte[FrameHeader.MaxPayloadBytes];
        var used = 0;
        foreach (var nic in _nics)
        {
            nic.TakeHeldIngress(batch, ref used);
        }
        return batch[..used];
    }

    /// <summary>Reads what the guest, stopped for a cut, has already sent.</summary>
    public void DrainEgress()
    {
        foreach (var nic in _nics)
        {
            nic.DrainEgress();
        }
    }

    /// <summary>Gives the guest the frames that its former self received after the last commit.</summary>
    public void Replay(IReadOnlyList<byte[]> batches)
    {
        foreach (var batch in batches)
        {
            ReadOnlySpan<byte> rest = batch;
            while (FrameBatch.TryTake(ref rest, out var nic, out var frame))
            {
                if (nic < _nics.Count)
                {
                    _nics[nic].GiveToGuest(frame);
                    ReplayedFrames++;
                }
            }
        }
    }

    /// <summary>Says again what its former self said last, in case that died before it was heard.</summary>
    public void SayAgain(IReadOnlyList<byte[]> batches)
    {
        var taps = new Taps(this);
        foreach (var batch in batches)
        {
            ReadOnlySpan<byte> rest = batch;
            while (FrameBatch.TryTake(ref rest, out var nic, out var frame))
            {
                if (nic < _nics.Count)
                {
                    taps.Send(nic, frame);
                    RepeatedFrames++;
                }
            }
        }
    }

    /// <summary>
    /// Tells the switches where the guest is now: at once, and again with growing gaps, since a first frame may meet a port that is still
    /// learning.
    /// </summary>
    public async Task AnnounceAsync(CancellationToken cancellation)
    {
        foreach (var gapMs in (int[])[0, 50, 150, 250, 350, 450])
        {
            await Task.Delay(gapMs, cancellation).ConfigureAwait(false);
            foreach (var (nic, frame) in Sources.Announcements())
            {
                new Taps(this).Send(nic, frame);
            }
        }
    }

    public NetworkCounters Count() => new(
        Egress.Held, Egress.Released, _nics.Sum(n => n.IngressDropped), _nics.Sum(n => n.IngressFrames), ReplayedFrames, RepeatedFrames);

    public async ValueTask DisposeAsync()
    {
        Egress.Close();
        foreach (var nic in _nics)
        {
            nic.Dispose();
        }
        await Qmp.DisposeAsync().ConfigureAwait(false);
    }

    private async Task AttachNicAsync(int nic, Action<string> cutOff, Action copied, CancellationToken cancellation)
    {
        var tap = CreateTap(nic);
        Socket? socket = null;
        try
        {
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(_runDirectory, $"net{nic}.sock")), cancellation).ConfigureAwait(false);
            socket.SendBufferSize = 1 << 20;
            var relay = new NicRelay(nic, socket, tap, Egress, (n, frame) => Copy(n, frame, copied), why => cutOff($"{tap.Name}: {why}"));
            _nics.Add(relay);
            Sources.Merge([(byte)nic, .. Convert.FromHexString(_spec.Nics[nic].Mac.Replace(":", "", StringComparison.Ordinal)), 0, 0]);
            relay.Start();
        }
        catch
        {
            socket?.Dispose();
            tap.Dispose();
            throw;
        }
    }

    private TapDevice CreateTap(int nic)
    {
        try
        {
            return TapDevice.Create(TapName(_spec.Name, nic), _spec.Nics[nic].Bridge);
        }
        catch (PolluxException e)
        {
            throw new HostNetworkException(e);
        }
    }

    private bool Copy(int nic, ReadOnlySpan<byte> frame, Action copied)
    {
        if (!Ingress.Add(nic, frame))
        {
            return false;
        }
        copied();
        return true;
    }

    private async Task WatchAsync(Action<string> died)
    {
        var exit = Process.Exited;
        await Task.WhenAny(exit, Qmp.Closed).ConfigureAwait(false);
        // A QMP that closed while the process lives on is a QEMU that is about to end, or one that is broken: both are a death.
        _exited = true;
        died(exit.IsCompleted ? await exit.ConfigureAwait(false) : $"QEMU closed its control connection: {await Qmp.Closed.ConfigureAwait(false)}");
    }

    /// <summary>At most 15 bytes, the same for a VM's NIC on every host: a checksum of the name keeps long names apart.</summary>
    private static string TapName(VmName vm, int nic) =>
        $"plx{Crc32C.Of(System.Text.Encoding.UTF8.GetBytes(vm.Value)):x8}.{nic}";

    private sealed class Taps(Guest guest) : IFrameOutput
    {
        public void Send(int nic, ReadOnlySpan<byte> frame) => guest._nics[nic].SendToNetwork(frame);
    }
}

internal readonly record struct NetworkCounters(long Held, long Released, long Dropped, long Ingress, long Replayed, long Repeated);
