using System.Net;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Linux.Memory;
using Pollux.Qemu.Incoming;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Pair;
using Pollux.Replication.Standby;

namespace Pollux.Keeper.Standby;

/// <summary>
/// All that a standby has beside its waiting guest: the image, the service that fills it, the channel that will load its device
/// state, and a second QEMU in which that is rehearsed once. It ends with the takeover.
/// </summary>
internal sealed class StandbySide : IAsyncDisposable
{
    private static readonly TimeSpan LoadWithin = TimeSpan.FromSeconds(10);

    /// <summary>Beside the guest's RAM, for epochs that are whole but not applied yet, and frames.</summary>
    private const long SlackBytes = 256 << 20;

    /// <summary>An epoch in which every page is dirty must fit, each page with its header.</summary>
    private const long PageBytes = 4096;
    private const long HeaderBytesMost = 16;

    private readonly MemoryMap _ram;
    private readonly StandbyImage _image;
    private readonly ChunkPool _pool;
    private readonly IncomingChannel _incoming;
    private Rehearsal? _rehearsal;

    private StandbySide(Guest guest, MemoryMap ram, IncomingChannel incoming, Rehearsal rehearsal, Machine machine, Member me, PeerTls tls, Action<PairEvent> post)
    {
        (Guest, _ram, _incoming, _rehearsal) = (guest, ram, incoming, rehearsal);
        _image = new StandbyImage(ram, QemuCommandLine.RamBlock);
        _pool = new ChunkPool(machine.RamBytes + machine.RamBytes / PageBytes * HeaderBytesMost + SlackBytes);
        var terms = machine.TermsOf(me);
        Service = new StandbyService(terms, IPAddress.Parse(machine.Config.ListenAddress), tls, guest, _image, _pool, post);
    }

    public Guest Guest { get; }
    public StandbyService Service { get; }
    public ChunkPool Pool => _pool;

    /// <summary>Starts the waiting QEMU and the rehearsal's, and listens for the primary.</summary>
    /// <param name="attach">Takes charge of a QEMU that was just started.</param>
    public static async Task<StandbySide> PrepareAsync(
        Machine machine, Member me, PeerTls tls, Action<PairEvent> post, Func<QemuProcess, Task<Guest>> attach, CancellationToken cancellation)
    {
        var (process, ram) = machine.Start(QemuSide.Standby);
        Rehearsal? rehearsal = null;
        Guest? guest = null;
        try
        {
            var rehearsalPaths = machine.Directory.RehearsalPathsOf(machine.RamFile);
            rehearsal = new Rehearsal(machine.StartRehearsal(rehearsalPaths), rehearsalPaths);
            guest = await attach(process).ConfigureAwait(false);
            var incoming = await IncomingChannel.PrepareAsync(
                process, guest.Qmp, machine.Directory.PathsOf(machine.RamFile).Incoming, cancellation).ConfigureAwait(false);
            await rehearsal.PrepareAsync(cancellation).ConfigureAwait(false);
            return new StandbySide(guest, ram, incoming, rehearsal, machine, me, tls, post);
        }
        catch
        {
            process.Kill();
            if (rehearsal is not null)
            {
                await rehearsal.DisposeAsync().ConfigureAwait(false);
            }
            if (guest is not null)
            {
                await guest.DisposeAsync().ConfigureAwait(false);
            }
            ram.Dispose();
            throw;
        }
    }

    /// <summary>Loads the first copy into a QEMU that is never run and thrown away; it also warms the code that a takeover needs.</summary>
    public async Task RehearseAsync()
    {
        var rehearsal = _rehearsal ?? throw new PolluxException("the rehearsal's QEMU is gone");
        _rehearsal = null;
        await using (rehearsal.ConfigureAwait(false))
        {
            await rehearsal.LoadAsync(_image).ConfigureAwait(false);
        }
    }

    /// <summary>Brings the image to exactly <paramref name="epoch"/> and loads its device state. The guest runs when this returns.</summary>
    public async Task LoadAsync(Epoch epoch)
    {
        Service.Seal(epoch);
        FaultPoint.Pass(FaultPoints.Loading);
        await _incoming.LoadAsync(_image.MachineType!, _image.TakeoverBlocks(), _image.DeviceState, LoadWithin).ConfigureAwait(false);
    }

    /// <summary>Frees everything but the guest.</summary>
    public async ValueTask DisposeAsync()
    {
        Service.Dispose();
        _incoming.Dispose();
        if (_rehearsal is not null)
        {
            await _rehearsal.DisposeAsync().ConfigureAwait(false);
        }
        _image.Dispose();
        _pool.Dispose();
        _ram.Dispose();
    }

    /// <summary>A QEMU that waits, paused, for one load.</summary>
    private sealed class Rehearsal(QemuProcess process, QemuPaths paths) : IAsyncDisposable
    {
        private QmpSession? _qmp;
        private IncomingChannel? _incoming;

        public async Task PrepareAsync(CancellationToken cancellation)
        {
            _qmp = await QmpSession.ConnectAsync(paths.Qmp, TimeSpan.FromSeconds(20), cancellation).ConfigureAwait(false);
            _incoming = await IncomingChannel.PrepareAsync(process, _qmp, paths.Incoming, cancellation).ConfigureAwait(false);
        }

        public Task LoadAsync(StandbyImage image) =>
            _incoming!.LoadAsync(image.MachineType!, image.TakeoverBlocks(), image.DeviceState, LoadWithin);

        public async ValueTask DisposeAsync()
        {
            process.Kill();
            _incoming?.Dispose();
            if (_qmp is not null)
            {
                await _qmp.DisposeAsync().ConfigureAwait(false);
            }
            await Task.WhenAny(process.Exited, Task.Delay(TimeSpan.FromSeconds(5))).ConfigureAwait(false);
            process.Dispose();
            if (Directory.Exists(paths.Directory))
            {
                Directory.Delete(paths.Directory, recursive: true);
            }
        }
    }
}
