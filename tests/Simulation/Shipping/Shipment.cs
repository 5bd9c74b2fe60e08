using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Shipping;
using Pollux.Replication.Standby;
using Pollux.Simulation.Judgement;
using Pollux.Wire.Replication;

namespace Pollux.Simulation.Shipping;

/// <summary>
/// The way of some epochs from a guest's memory to the standby's image, through the real <see cref="EpochBuffer"/>, <see cref="LinkSender"/>,
/// <see cref="EpochReceiver"/> and <see cref="StandbyImage"/>, over a link that breaks at some byte. The standby then takes over: its image must be
/// the guest's memory as it was at the last epoch that it acknowledged, and not a byte more. These parts have threads of their own, so it takes real time; which
/// byte breaks, and what must be there, is the seed's alone.
/// </summary>
internal sealed class Shipment : IReceiverEvents, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private const long PoolBytes = 16 << 20;
    private readonly MemoryMap _ram = MemoryMap.AllocateAnonymous(GuestMemory.RamPages * GuestMemory.PageBytes);
    private readonly ChunkPool _primaryPool = new(PoolBytes);
    private readonly ChunkPool _standbyPool = new(PoolBytes);
    private readonly StandbyImage _image;
    private readonly EpochReceiver _receiver;
    private readonly LinkSender _sender;
    private readonly Random _random;
    private readonly ManualResetEventSlim _ended = new();
    private readonly List<GuestMemory.Snapshot> _cuts = [];
    private readonly long _sealsAt;
    private Epoch _acknowledged = Epoch.None;
    private Epoch _whole = Epoch.None;

    private Shipment(int seed)
    {
        _random = new Random(seed);
        var epochs = 2 + _random.Next(6);
        _sealsAt = _random.Next(3) == 0 ? _random.Next(epochs) : long.MaxValue;
        // Somewhere inside a frame, between two frames, or not at all.
        var pipe = _random.Next(5) switch
        {
            0 => new BrokenPipe(long.MaxValue, long.MaxValue),
            1 or 2 => new BrokenPipe(_random.NextInt64(epochs * 400_000), long.MaxValue),
            _ => new BrokenPipe(long.MaxValue, _random.Next(epochs * 5)),
        };
        _image = new StandbyImage(_ram, GuestMemory.RamBlock);
        _receiver = new EpochReceiver(new FrameStream(pipe.Reader), _image, _standbyPool, "shipment", this);
        // A third of the seeds compress.
        var frames = new EpochFrames(new FrameStream(pipe.Writer), new Random(seed ^ 1).Next(3) == 0 ? CompressionMode.Always : CompressionMode.Never);
        // Most seeds ship changes, as keepers do; the others what QEMU wrote.
        var encoder = new Random(~seed).Next(4) > 0 ? new EpochEncoder(frames) : null;
        _sender = new LinkSender(frames, "shipment", _primaryPool, null, _ => { }, encoder);
        Ship(epochs);
    }

    /// <summary>How far a shipment came.</summary>
    public static Epoch Run(int seed)
    {
        using var shipment = new Shipment(seed);
        shipment.TakeOver();
        return shipment._acknowledged;
    }

    void IReceiverEvents.EpochWhole(Epoch epoch)
    {
        _whole = epoch;
        // As the pair's machine does: what is whole is promised, and only then let into the image; a standby that has sealed promises nothing more.
        if (epoch.Value <= _sealsAt)
        {
            _acknowledged = epoch;
            _receiver.ApplyUpTo(epoch);
        }
    }

    void IReceiverEvents.Control(FrameHeader header, byte[] payload)
    {
    }

    void IReceiverEvents.LinkEnded(string why) => _ended.Set();

    void IReceiverEvents.ScrubFailed(Epoch epoch, string why) => _ended.Set();

    void IReceiverEvents.ApplyFailed(string why) => _ended.Set();

    public void Dispose()
    {
        _sender.Dispose();
        _receiver.Dispose();
        _image.Dispose();
        _primaryPool.Dispose();
        _standbyPool.Dispose();
        _ram.Dispose();
        _ended.Dispose();
    }

    private void Ship(int epochs)
    {
        var guest = new GuestMemory(_random);
        _receiver.Start();
        for (var epoch = new Epoch(0); epoch.Value < epochs; epoch = epoch.Next)
        {
            var (state, ram, device) = guest.Cut(epoch);
            _cuts.Add(state);
            var buffer = new EpochBuffer(_primaryPool, epoch);
            // The first copy travels while it is captured; later epochs when they are whole, or too large to wait.
            var early = epoch.Value == 0 || _random.Next(4) == 0;
            if (early)
            {
                _sender.Ship(buffer);
            }
            GuestMemory.Fill(buffer, ram, device);
            if (!early)
            {
                _sender.Ship(buffer);
            }
            _sender.Wake();
            if (_sender.IsClosed)
            {
                buffer.Return();
                break;
            }
        }
        // Ends the link once everything is sent, if it has not broken before.
        _ = Task.Run(CloseWhenSentAsync);
    }

    private async Task CloseWhenSentAsync()
    {
        while (!_ended.IsSet && !_sender.IsClosed && _whole.Value + 1 < _cuts.Count)
        {
            await Task.Delay(1).ConfigureAwait(false);
        }
        _sender.Dispose();
    }

    private void TakeOver()
    {
        Hold(_ended.Wait(Patience), "the standby does not hear that the link is broken");
        if (_acknowledged == Epoch.None)
        {
            return;
        }
        var applied = Task.Run(() => _receiver.WaitApplied(_acknowledged));
        try
        {
            Hold(Task.WaitAny([applied], Patience) == 0, $"epoch {_acknowledged} was acknowledged and is never applied");
            applied.GetAwaiter().GetResult();
        }
        catch (PolluxException e)
        {
            Hold(false, e.Message);
        }
        var cut = _cuts[(int)_acknowledged.Value];
        Hold(_image.Applied == _acknowledged, $"the image holds epoch {_image.Applied}, acknowledged is {_acknowledged}");
        var differs = _ram.Span(0, cut.Ram.Length).CommonPrefixLength(cut.Ram);
        Hold(differs == cut.Ram.Length, $"page {differs / GuestMemory.PageBytes} is not as it was at the cut of epoch {_acknowledged}");
        Hold(_image.DeviceState.AsSpan().SequenceEqual(cut.Device), $"the device state is not that of epoch {_acknowledged}");
        var small = _image.TakeoverBlocks().Single(b => b.Name == GuestMemory.SmallBlock).Content;
        Hold(small.Span.SequenceEqual(cut.Small), $"{GuestMemory.SmallBlock} is not as it was at the cut of epoch {_acknowledged}");
    }

    private static void Hold(bool holds, string what)
    {
        if (!holds)
        {
            throw new BrokenPromiseException(Promise.TheImageIsTheCommit, what);
        }
    }
}
