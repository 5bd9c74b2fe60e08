using System.Diagnostics;
using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Replication.Standby;

/// <summary>
/// The standby's reader of the data link. An epoch that is whole in memory is reported; it is applied to the image only once the pair's
/// machine has said so (<see cref="ApplyUpTo"/>), by an <see cref="EpochApplier"/>. An unfinished epoch is thrown away with the link.
/// </summary>
public sealed class EpochReceiver : IDisposable
{
    private readonly FrameStream _frames;
    private readonly StandbyImage _image;
    private readonly EpochApplier _applier;
    private readonly ChunkPool _pool;
    private readonly IReceiverEvents _events;
    private readonly Lock _lock = new();
    private readonly PayloadDecompressor _decompressor = new(); // the reader's
    private readonly Thread _reader;
    private Epoch _lastWhole = Epoch.None;
    private EpochBuffer? _filling;
    private Chunk? _scratch;
    private long _firstRamBytes;
    private FrameType? _writtenAs; // of epochs after the first copy
    private long _arrivedBytes;
    private long _arrivedTicks;
    private Arrival _lastArrival;

    public EpochReceiver(FrameStream frames, StandbyImage image, ChunkPool pool, string name, IReceiverEvents events)
    {
        (_frames, _image, _pool, _events) = (frames, image, pool, events);
        _applier = new EpochApplier(image, pool, $"{name} apply", events, endLink: frames.Dispose);
        _reader = new Thread(Read) { IsBackground = true, Name = $"{name} link in" };
    }

    /// <summary>Pages of the image that were compared with the primary's memory.</summary>
    public long ScrubbedPages => _applier.ScrubbedPages;

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

    /// <inheritdoc cref="EpochApplier.ApplyUpTo"/>
    public void ApplyUpTo(Epoch epoch) => _applier.ApplyUpTo(epoch);

    /// <inheritdoc cref="EpochApplier.WaitApplied"/>
    public void WaitApplied(Epoch epoch) => _applier.WaitApplied(epoch);

    /// <summary>Ends both threads and gives unapplied epochs back. The image stays as it is.</summary>
    public void Dispose()
    {
        _applier.Close();
        _frames.Dispose();
        if (_reader.IsAlive && Thread.CurrentThread != _reader)
        {
            _reader.Join(TimeSpan.FromSeconds(2));
        }
        _applier.Dispose();
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
            _applier.Settle(epoch.Epoch);
            epoch.Return();
            if (_scratch is not null)
            {
                _pool.Return(_scratch);
                _scratch = null;
            }
        }
        else
        {
            _applier.Add(epoch);
        }
        _events.EpochWhole(epoch.Epoch);
    }

    private void SettleArrival()
    {
        lock (_lock)
        {
            _lastArrival = new Arrival(_arrivedBytes, (long)(_arrivedTicks * (1e9 / Stopwatch.Frequency)));
        }
        (_arrivedBytes, _arrivedTicks) = (0, 0);
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
