using System.Net;
using System.Net.Sockets;
using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Shipping;
using Pollux.Replication.Standby;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Link;

/// <summary>A primary's sender and a standby's receiver with its image, as the keepers have them, over a connection of this machine.</summary>
internal sealed class ConnectedPair : IReceiverEvents, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly object _lock = new();
    private readonly StandbyImage _image;
    private readonly EpochReceiver _receiver;
    private readonly FrameStream _standbyFrames;
    private Epoch _whole = Epoch.None;

    /// <param name="encode">Ship changes, not pages.</param>
    public ConnectedPair(long ramBytes, string block, bool encode = false, CompressionMode compression = CompressionMode.Never)
    {
        Ram = MemoryMap.AllocateAnonymous(ramBytes);
        _image = new StandbyImage(Ram, block);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var client = new TcpClient(AddressFamily.InterNetwork) { NoDelay = true };
        client.Connect((IPEndPoint)listener.LocalEndpoint);
        _standbyFrames = new FrameStream(listener.AcceptTcpClient().GetStream());
        Frames = new FrameStream(client.GetStream());
        var pieces = new EpochFrames(Frames, compression);
        Sender = new LinkSender(pieces, "test", PrimaryPool, null, why => Failure = why, encode ? new EpochEncoder(pieces) : null);
        _receiver = new EpochReceiver(_standbyFrames, _image, StandbyPool, "test", this);
        _receiver.Start();
    }

    public ChunkPool PrimaryPool { get; } = new(64 << 20);
    public ChunkPool StandbyPool { get; } = new(64 << 20);
    public LinkSender Sender { get; }

    /// <summary>The sender's, for what no sender writes. Not while it has anything to send.</summary>
    public FrameStream Frames { get; }

    /// <summary>The standby's memory of the guest.</summary>
    public MemoryMap Ram { get; }
    public StandbyImage Image => _image;
    public string? Failure { get; private set; }
    public string? ScrubFailure { get; private set; }
    public long ScrubbedPages => _receiver.ScrubbedPages;

    /// <summary>Ships an epoch as the keeper's checkpoint thread does.</summary>
    public void Ship(long epoch, ReadOnlySpan<byte> ramStream, byte[]? scrub = null)
    {
        var buffer = new EpochBuffer(PrimaryPool, new Epoch(epoch)) { Scrub = scrub };
        Fill(buffer, ramStream);
        buffer.AppendDevice([4, 0]);
        buffer.Complete();
        Sender.Ship(buffer);
    }

    public static void Fill(EpochBuffer buffer, ReadOnlySpan<byte> ramStream)
    {
        while (!ramStream.IsEmpty)
        {
            var space = buffer.RamSpace();
            var count = Math.Min(space.Length, ramStream.Length);
            ramStream[..count].CopyTo(space);
            buffer.RamFilled(count);
            ramStream = ramStream[count..];
        }
    }

    /// <summary>Waits until so much of epochs was taken by the sender.</summary>
    public void WaitShipped(long bytes) => Wait(() => Sender.Counts.CapturedBytes >= bytes, "shipped");

    public void WaitFailed() => Wait(() => Failure is not null, "failed");

    private static void Wait(Func<bool> isSo, string what) =>
        Assert.True(SpinWait.SpinUntil(isSo, Patience), $"it is not {what}");

    /// <summary>Waits until the epoch is whole on the standby, and lets it be applied.</summary>
    public void WaitApplied(long epoch)
    {
        lock (_lock)
        {
            for (var deadline = DateTime.UtcNow + Patience; _whole.Value < epoch;)
            {
                Assert.True(Failure is null && DateTime.UtcNow < deadline, $"epoch {epoch} is not whole: {Failure ?? "it takes too long"}");
                Monitor.Wait(_lock, 100);
            }
        }
        _receiver.WaitApplied(new Epoch(epoch));
    }

    public void Dispose()
    {
        Sender.Dispose();
        _receiver.Dispose();
        _image.Dispose();
        Ram.Dispose();
        PrimaryPool.Dispose();
        StandbyPool.Dispose();
    }

    void IReceiverEvents.EpochWhole(Epoch epoch)
    {
        lock (_lock)
        {
            _whole = epoch;
            Monitor.PulseAll(_lock);
        }
    }

    void IReceiverEvents.Control(FrameHeader header, byte[] payload)
    {
    }

    void IReceiverEvents.LinkEnded(string why) => Failure ??= why;

    void IReceiverEvents.ApplyFailed(string why) => Failure ??= why;

    void IReceiverEvents.ScrubFailed(Epoch epoch, string why) => ScrubFailure = why;
}
