using System.Diagnostics;
using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Scrubbing;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Standby;

/// <summary>
/// The standby's reader of the data link. An epoch that is whole in memory is reported; it is applied to the image only once the pair's
/// machine has said so (<see cref="ApplyUpTo"/>), in order, by a thread of its own. An unfinished epoch is thrown away with the link.
/// </summary>
public sealed class EpochReceiver : IDisposable
{
    private readonly FrameStream _frames;
    private readonly StandbyImage _image;
    private readonly ScrubCheck _scrub;
    private readonly ChunkPool _pool;
    private readonly IReceiverEvents _events;
    private readonly object _lock = new();
    private readonly Queue<EpochBuffer> _whole = new();
    private readonly PayloadDecompressor _decompressor = new(); // the reader's
    private readonly Thread _reader;
    private readonly Thread _applier;
    private Epoch _applyUpTo = Epoch.None;
    private Epoch _settled = Epoch.None; // applied, and compared where there was something to compare
    private Epoch _lastWhole = Epoch.None;
    private EpochBuffer? _filling;
    private Chunk? _scratch;
    private long _firstRamBytes;
    private FrameType? _writtenAs; // of epochs after the first copy
    private long _arrivedBytes;
    private long _arrivedTicks;
    private Arrival _lastArrival;
    private Exception? _applyFailure;
    private bool _closed;

    public EpochReceiver(FrameStream frames, StandbyImage image, ChunkPool pool, string name, IReceiverEvents events)
    {
        (_frames, _image, _pool, _events) = (frames, image, pool, events);
        _scrub = new ScrubCheck(image.Ram);
        _reader = new Thread(Read) { IsBackground = true, Name = $"{name} link in" };
        _applier = new Thread(ApplyWhole) { IsBackground = true, Name = $"{name} apply" };
    }

    /// <summary>Pages of the image that were compared with the primary's memory.</summary>
    public long ScrubbedPages => _scrub.Pages;

    /// <summary>How the last epoch that is whole came in.</summary>
    public Arrival LastArrival
    {
        get
        {
            lock (_lock)
            {
                return _lastArrival;
            }
        }
    }

    public void Start()
    {
        _reader.Start();
        _applier.Start();
    }

    /// <summary>Epochs up to this one may go into the image.</summary>
    public void ApplyUpTo(Epoch epoch)
    {
        lock (_lock)
        {
            _applyUpTo = epoch;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>
    /// Waits until the image holds exactly <paramref name="epoch"/> and has passed its scrub. Throws what went wrong with applying, and for
    /// an image that was ever found wrong: nobody may take over from it.
    /// </summary>
    public void WaitApplied(Epoch epoch)
    {
        ApplyUpTo(epoch);
        lock (_lock)
        {
            while (_settled < epoch && _applyFailure is null)
            {
                Monitor.Wait(_lock);
            }
            if (_applyFailure is not null)
            {
                throw new PolluxException($"the image is of no use after epoch {_image.Applied}: {_applyFailure.Message}", null, _applyFailure);
            }
        }
    }

    /// <summary>Ends both threads and gives unapplied epochs back. The image stays as it is.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }
        _frames.Dispose();
        if (_reader.IsAlive && Thread.CurrentThread != _reader)
        {
            _reader.Join(TimeSpan.FromSeconds(2));
        }
        if (_applier.IsAlive && Thread.CurrentThread != _applier)
        {
            _applier.Join(TimeSpan.FromSeconds(2));
        }
        while (_whole.TryDequeue(out var epoch))
        {
            epoch.Return();
        }
        _filling?.Return();
    }

    private void Read()
    {
        try
        {
            while (true)
            {
                var header = _frames.ReadHeader();
                Take(header);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            _events.LinkEnded(e is EndOfStreamException ? "the primary closed it" : e.Message);
        }
        catch (PolluxException e)
        {
            _frames.Dispose();
            _events.LinkEnded(e.Message);
        }
        finally
        {
            _decompressor.Dispose();
        }
    }

    private void Take(FrameHeader header)
    {
        switch (header.Type)
        {
            case FrameType.Ram when header.Epoch == 0 && _lastWhole == Epoch.None:
                TakeFirst(header);
                break;
            case FrameType.Ram:
            case FrameType.Pages when header.Epoch > 0:
                ReadInto(Written(Filling(header), header), header, device: false);
                break;
            case FrameType.DeviceState:
                ReadInto(Filling(header), header, device: true);
                break;
            case FrameType.Scrub:
                Filling(header).Scrub = _frames.ReadPayload(header);
                break;
            case FrameType.EpochEnd:
                var end = EpochEnd.Read(_frames.ReadPayload(header));
                Finish(Filling(header), end);
                break;
            default:
                _events.Control(header, _frames.ReadPayload(header));
                break;
        }
    }

    private void TakeFirst(FrameHeader header)
    {
        if (header.IsCompressed)
        {
            var content = Decompressed(header);
            _image.ApplyFirst(content);
            _firstRamBytes += content.Length;
            return;
        }
        _scratch ??= _pool.Rent();
        var piece = _scratch.Free[..header.Length];
        _frames.ReadPayload(header, piece);
        _image.ApplyFirst(piece);
        _firstRamBytes += header.Length;
    }

    /// <summary>The content of a compressed frame, checked as it came before it is looked at.</summary>
    private ReadOnlySpan<byte> Decompressed(FrameHeader header)
    {
        var payload = _decompressor.Input(header.Length);
        var begin = Stopwatch.GetTimestamp();
        _frames.ReadPayload(header, payload);
        NoteArrival(header, Stopwatch.GetTimestamp() - begin);
        return _decompressor.Decompress(payload);
    }

    /// <summary>Only of frames of which the header came first: the time until a shorter one's header is the time of all of it.</summary>
    private void NoteArrival(FrameHeader header, long ticks)
    {
        if (header.Length > FrameStream.SmallPayloadBytes)
        {
            _arrivedBytes += header.Length;
            _arrivedTicks += ticks;
        }
    }

    private EpochBuffer Filling(FrameHeader header)
    {
        if (_filling is null)
        {
            if (header.Epoch != _lastWhole.Next.Value)
            {
                throw new WireFormatException($"epoch {header.Epoch} follows epoch {_lastWhole}");
            }
            _filling = new EpochBuffer(_pool, new Epoch(header.Epoch));
        }
        return _filling.Epoch.Value == header.Epoch
            ? _filling
            : throw new WireFormatException($"a {header.Type} frame of epoch {header.Epoch} came inside epoch {_filling.Epoch}");
    }

    /// <summary>One protection writes all its epochs in one way: each of the two remembers something from epoch to epoch.</summary>
    private EpochBuffer Written(EpochBuffer epoch, FrameHeader header)
    {
        _writtenAs ??= header.Type;
        epoch.IsPages = header.Type == FrameType.Pages;
        return header.Type == _writtenAs ? epoch : throw new WireFormatException($"a {header.Type} frame of epoch {header.Epoch} came where epochs are sent as {_writtenAs}");
    }

    private void ReadInto(EpochBuffer epoch, FrameHeader header, bool device)
    {
        if (header.IsCompressed)
        {
            for (var content = Decompressed(header); !content.IsEmpty;)
            {
                var space = Space(epoch, content.Length, device);
                content[..space.Length].CopyTo(space);
                content = content[space.Length..];
                Filled(epoch, space.Length, device);
            }
            return;
        }
        // A frame is at most a chunk long but may meet a part-filled one: check the whole before any of it counts.
        var left = header.Length;
        var crc = uint.MaxValue;
        long ticks = 0;
        while (left > 0)
        {
            var space = Space(epoch, left, device);
            var begin = Stopwatch.GetTimestamp();
            _frames.ReadPiece(space, ref crc);
            ticks += Stopwatch.GetTimestamp() - begin;
            Filled(epoch, space.Length, device);
            left -= space.Length;
        }
        header.CheckPayload(~crc);
        NoteArrival(header, ticks);
    }

    private static Span<byte> Space(EpochBuffer epoch, int most, bool device)
    {
        var space = device ? epoch.DeviceSpace() : epoch.RamSpace();
        return space[..Math.Min(space.Length, most)];
    }

    private static void Filled(EpochBuffer epoch, int bytes, bool device)
    {
        if (device)
        {
            epoch.DeviceFilled(bytes);
        }
        else
        {
            epoch.RamFilled(bytes);
        }
    }

    private void Finish(EpochBuffer epoch, EpochEnd end)
    {
        var first = epoch.Epoch.Value == 0;
        var ramBytes = first ? _firstRamBytes : epoch.RamBytes;
        if (ramBytes != end.RamBytes || epoch.DeviceBytes != end.DeviceBytes)
        {
            throw new WireFormatException(
                $"epoch {epoch.Epoch} ended with {ramBytes}+{epoch.DeviceBytes} bytes of RAM and device state, the primary sent {end.RamBytes}+{end.DeviceBytes}");
        }
        _filling = null;
        _lastWhole = epoch.Epoch;
        SettleArrival();
        epoch.Complete();
        if (first)
        {
            _image.FinishFirst(epoch.CopyDeviceState());
            Settle(epoch.Epoch);
            epoch.Return();
            if (_scratch is not null)
            {
                _pool.Return(_scratch);
                _scratch = null;
            }
        }
        else
        {
            lock (_lock)
            {
                _whole.Enqueue(epoch);
                Monitor.PulseAll(_lock);
            }
        }
        _events.EpochWhole(epoch.Epoch);
    }

    private void ApplyWhole()
    {
        while (true)
        {
            EpochBuffer? epoch;
            lock (_lock)
            {
                while (!_closed && !(_whole.TryPeek(out epoch) && epoch.Epoch <= _applyUpTo))
                {
                    Monitor.Wait(_lock);
                }
                if (_closed)
                {
                    return;
                }
                epoch = _whole.Dequeue();
            }
            try
            {
                _image.Apply(epoch, _pool);
                if (epoch.Scrub is { } sample && _scrub.Differences(sample) is { } wrong)
                {
                    FailScrub(epoch.Epoch, wrong);
                    return;
                }
            }
            catch (Exception e) when (e is PolluxException)
            {
                FailApplying(e);
                return;
            }
            Settle(epoch.Epoch);
        }
    }

    private void Settle(Epoch epoch)
    {
        lock (_lock)
        {
            _settled = epoch;
            Monitor.PulseAll(_lock);
        }
    }

    private void SettleArrival()
    {
        lock (_lock)
        {
            _lastArrival = new Arrival(_arrivedBytes, (long)(_arrivedTicks * (1e9 / Stopwatch.Frequency)));
        }
        (_arrivedBytes, _arrivedTicks) = (0, 0);
    }

    /// <summary>The link stays open for a moment: the primary is told before this side leaves.</summary>
    private void FailScrub(Epoch epoch, IReadOnlyList<long> wrong)
    {
        var why = $"scrub: after epoch {epoch} the standby's memory is not the primary's at 0x{wrong[0]:x}{(wrong.Count > 1 ? $" and {wrong.Count - 1} more pages" : "")}";
        _events.ScrubFailed(epoch, why);
        lock (_lock)
        {
            _applyFailure = new PolluxException(why);
            Monitor.PulseAll(_lock);
        }
    }

    private void FailApplying(Exception why)
    {
        lock (_lock)
        {
            _applyFailure = why;
            Monitor.PulseAll(_lock);
        }
        _frames.Dispose();
        _events.ApplyFailed(why.Message);
    }
}

/// <summary>What the receiver reports, on its own threads; must not block for long.</summary>
public interface IReceiverEvents
{
    void EpochWhole(Epoch epoch);

    /// <summary>Any frame that is not a piece of an epoch.</summary>
    void Control(FrameHeader header, byte[] payload);
    void LinkEnded(string why);
    void ApplyFailed(string why);

    /// <summary>The image differs from the primary's memory. Nothing more is applied, and <see cref="EpochReceiver.WaitApplied"/> fails.</summary>
    void ScrubFailed(Epoch epoch, string why);
}
