using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Linux.Memory;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Qemu.Spec;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Scrubbing;
using Pollux.Replication.Shipping;
using Pollux.Replication.Standby;
using Pollux.Wire.Replication;

namespace Pollux.Lab.Tests.Checkpointing;

/// <summary>
/// A real guest whose checkpoints are shipped to a standby's image in this process, by the code that keepers run, without a second QEMU:
/// from the capture through the encoder, the link's frames and the receiver, with every cut scrubbed.
/// The guest's RAM is a file mapped here too, so that while the guest stands at a cut the two can be compared.
/// </summary>
internal sealed class CheckpointedMachine : IReceiverEvents, IAsyncDisposable
{
    private const string Stock = "qemu-system-x86_64";
    private const long BufferCeiling = 1L << 30;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(50);

    private readonly ChunkPool _pool = new(BufferCeiling);
    private readonly string _directory;
    private readonly QemuPaths _paths;
    private readonly MemoryMap _guestRam;
    private readonly MemoryMap _imageRam;
    private readonly QemuProcess _process;
    private readonly StandbyImage _image;
    private readonly ChunkPool _standbyPool = new(BufferCeiling);
    private readonly LinkSender _sender;
    private readonly EpochReceiver _receiver;
    private readonly RamScrubber _scrubber;
    private readonly List<double> _scrubMicros = [];
    private readonly object _lock = new();
    private Epoch _whole = Epoch.None;
    private string? _failure;
    private QmpSession? _qmp;
    private CheckpointChannel? _channel;

    private CheckpointedMachine(string directory, QemuPaths paths, MemoryMap guestRam, MemoryMap imageRam, QemuProcess process, CompressionMode compression)
    {
        (_directory, _paths, _guestRam, _imageRam, _process) = (directory, paths, guestRam, imageRam, process);
        _image = new StandbyImage(imageRam, QemuCommandLine.RamBlock);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var client = new TcpClient(AddressFamily.InterNetwork) { NoDelay = true };
        client.Connect((IPEndPoint)listener.LocalEndpoint);
        var frames = new EpochFrames(new FrameStream(client.GetStream()), compression);
        _sender = new LinkSender(frames, "test", _pool, null, Fail, new EpochEncoder(frames));
        _receiver = new EpochReceiver(new FrameStream(listener.AcceptTcpClient().GetStream()), _image, _standbyPool, "test", this);
        _receiver.Start();
        _scrubber = new RamScrubber(MemoryMap.OpenReadOnly(paths.RamFile), TimeSpan.FromTicks(1));
    }

    public Epoch Applied => _image.Applied;

    /// <summary>What became of the pages of all epochs so far.</summary>
    public ShippingCounts Shipped => _sender.Counts;

    /// <summary>What went over the link.</summary>
    public LinkCounts Sent => _sender.Pieces.Counts;

    /// <summary>What hashing the most pages that a cut may take added to the guest's pause: the median so far.</summary>
    public double ScrubMicros => _scrubMicros.Order().ElementAt(_scrubMicros.Count / 2);

    /// <summary>Pages of the image that were compared by their hashes.</summary>
    public long ScrubbedPages => _receiver.ScrubbedPages;

    /// <summary>The guest's RAM; changes under the reader while the guest runs.</summary>
    public ReadOnlySpan<byte> GuestRam(long address, int length) => _guestRam.Span(address, length);

    public Span<byte> ImageRam(long address, int length) => _imageRam.Span(address, length);

    /// <summary>Boots the guest and waits until it is <paramref name="up"/>.</summary>
    /// <param name="more">Arguments beside those of the product.</param>
    public static async Task<CheckpointedMachine> BootAsync(VmSpec spec, string[] more, Func<CheckpointedMachine, bool> up, string qemu = Stock,
        CompressionMode compression = CompressionMode.Never)
    {
        var version = await QemuVersion.OfAsync(qemu, CancellationToken.None);
        var bytes = QemuCommandLine.RamBytes(spec, version, spec.Accelerator);
        var directory = Directory.CreateTempSubdirectory("pollux-").FullName;
        var paths = new QemuPaths(directory, $"/dev/shm/{Path.GetFileName(directory)}.ram");
        var guestRam = MemoryMap.CreateFile(paths.RamFile, bytes);
        var preload = spec.Accelerator == Accelerator.Tcg && version.NeedsTcgShim ? LabPrograms.ShimOfCheckout() : null;
        var process = QemuProcess.Start(new QemuLaunch(
            qemu, [.. QemuCommandLine.Build(spec, QemuSide.Primary, paths, version, spec.Accelerator), .. more], null, preload, paths.Log));
        var machine = new CheckpointedMachine(directory, paths, guestRam, MemoryMap.AllocateAnonymous(bytes), process, compression);
        try
        {
            machine._qmp = await QmpSession.ConnectAsync(paths.Qmp, Patience, CancellationToken.None);
            await machine.WaitAsync(up);
            machine._channel = await CheckpointChannel.OpenAsync(machine._qmp, version, paths.Channel, intervalMs: 50, CancellationToken.None);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }
    }

    /// <summary>What the guest has written to its serial port.</summary>
    public string Console() => File.Exists(_paths.Serial) ? File.ReadAllText(_paths.Serial) : "";

    /// <summary>Takes the first copy into the image. The guest stands afterwards.</summary>
    public void CopyFirst()
    {
        var buffer = new EpochBuffer(_pool, new Epoch(0));
        _channel!.CaptureFirst(buffer);
        Ship(buffer);
    }

    /// <summary>Lets the guest run an epoch, cuts, and applies it. The guest stands afterwards. Returns the epoch's pages.</summary>
    public long Cut()
    {
        _channel!.Resume();
        Assert.True(_channel.WaitForRequest(), "QEMU keeps the channel open");
        var buffer = new EpochBuffer(_pool, _image.Applied.Next);
        var pages = _channel.Capture(buffer).Pages;
        _scrubber.Choose();
        var begin = Stopwatch.GetTimestamp();
        buffer.Scrub = _scrubber.Take();
        _scrubMicros.Add(Stopwatch.GetElapsedTime(begin).TotalMicroseconds);
        Ship(buffer);
        return pages;
    }

    /// <summary>The first address at which the image is not what the guest's RAM is; null when they are equal. Only while the guest stands.</summary>
    public long? FirstDifference()
    {
        const int piece = 1 << 20;
        for (long at = 0; at < _guestRam.Length; at += piece)
        {
            var length = (int)Math.Min(piece, _guestRam.Length - at);
            var same = _guestRam.Span(at, length).CommonPrefixLength(_imageRam.Span(at, length));
            if (same < length)
            {
                return at + same;
            }
        }
        return null;
    }

    public async ValueTask DisposeAsync()
    {
        _channel?.Dispose();
        if (_qmp is not null)
        {
            await _qmp.DisposeAsync();
        }
        await _process.KillAsync(Patience);
        _process.Dispose();
        _sender.Dispose();
        _receiver.Dispose();
        _scrubber.Dispose();
        _image.Dispose();
        _pool.Dispose();
        _standbyPool.Dispose();
        _guestRam.Dispose();
        _imageRam.Dispose();
        File.Delete(_paths.RamFile);
        Directory.Delete(_directory, recursive: true);
    }

    void IReceiverEvents.EpochWhole(Epoch epoch)
    {
        lock (_lock)
        {
            _whole = epoch;
            Monitor.PulseAll(_lock);
        }
    }

    void IReceiverEvents.Control(FrameHeader header, byte[] payload) => Fail($"a {header.Type} frame came");

    void IReceiverEvents.LinkEnded(string why) => Fail(why);

    void IReceiverEvents.ApplyFailed(string why) => Fail(why);

    void IReceiverEvents.ScrubFailed(Epoch epoch, string why) => Fail(why);

    private void Ship(EpochBuffer buffer)
    {
        buffer.Complete();
        _sender.Ship(buffer);
        lock (_lock)
        {
            for (var deadline = DateTime.UtcNow + Patience; _whole < buffer.Epoch; Monitor.Wait(_lock, PollEvery))
            {
                Assert.True(_failure is null && DateTime.UtcNow < deadline, $"epoch {buffer.Epoch} does not arrive: {_failure}");
            }
        }
        _receiver.WaitApplied(buffer.Epoch);
    }

    private void Fail(string why)
    {
        lock (_lock)
        {
            _failure ??= why;
            Monitor.PulseAll(_lock);
        }
    }

    private async Task WaitAsync(Func<CheckpointedMachine, bool> up)
    {
        for (var deadline = DateTime.UtcNow + Patience; !up(this); await Task.Delay(PollEvery))
        {
            Assert.False(_process.Exited.IsCompleted, $"QEMU ended: {File.ReadAllText(_paths.Log)}");
            Assert.True(DateTime.UtcNow < deadline, $"the guest is up within {Patience.TotalSeconds} s; its console: {Console()}");
        }
    }
}
