using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Scrubbing;

namespace Pollux.Replication.Standby;

/// <summary>
/// Puts whole epochs into the standby's image, in order, by a thread of its own, and only once the pair's machine has said so
/// (<see cref="ApplyUpTo"/>). After each it compares the pages that the primary has hashed. An image that was ever found wrong stays useless.
/// </summary>
internal sealed class EpochApplier : IDisposable
{
    private readonly StandbyImage _image;
    private readonly ScrubCheck _scrub;
    private readonly ChunkPool _pool;
    private readonly IReceiverEvents _events;
    private readonly Action _endLink;
    private readonly object _lock = new();
    private readonly Queue<EpochBuffer> _whole = new();
    private readonly Thread _thread;
    private Epoch _applyUpTo = Epoch.None;
    private Epoch _settled = Epoch.None; // applied, and compared where there was something to compare
    private Exception? _failure;
    private bool _closed;

    /// <param name="endLink">Called when an epoch could not be applied.</param>
    public EpochApplier(StandbyImage image, ChunkPool pool, string name, IReceiverEvents events, Action endLink)
    {
        (_image, _pool, _events, _endLink) = (image, pool, events, endLink);
        _scrub = new ScrubCheck(image.Ram);
        _thread = new Thread(ApplyWhole) { IsBackground = true, Name = name };
    }

    /// <summary>Pages of the image that were compared with the primary's memory.</summary>
    public long ScrubbedPages => _scrub.Pages;

    public void Start() => _thread.Start();

    /// <summary>The next epoch, whole in memory. It is this object's from now on.</summary>
    public void Add(EpochBuffer epoch)
    {
        lock (_lock)
        {
            _whole.Enqueue(epoch);
            Monitor.PulseAll(_lock);
        }
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

    /// <summary>The image holds this epoch.</summary>
    public void Settle(Epoch epoch)
    {
        lock (_lock)
        {
            _settled = epoch;
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
            while (_settled < epoch && _failure is null)
            {
                Monitor.Wait(_lock);
            }
            if (_failure is not null)
            {
                throw new PolluxException($"the image is of no use after epoch {_image.Applied}: {_failure.Message}", null, _failure);
            }
        }
    }

    /// <summary>Nothing more is applied; the thread ends.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Ends the thread, and gives epochs back that were not applied. The image stays as it is.</summary>
    public void Dispose()
    {
        Close();
        if (_thread.IsAlive && Thread.CurrentThread != _thread)
        {
            _thread.Join(TimeSpan.FromSeconds(2));
        }
        while (_whole.TryDequeue(out var epoch))
        {
            epoch.Return();
        }
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
                    // The link stays open for a moment: the primary is told before this side leaves.
                    var why = $"scrub: after epoch {epoch.Epoch} the standby's memory is not the primary's at 0x{wrong[0]:x}{(wrong.Count > 1 ? $" and {wrong.Count - 1} more pages" : "")}";
                    _events.ScrubFailed(epoch.Epoch, why);
                    Fail(new PolluxException(why));
                    return;
                }
            }
            catch (PolluxException e)
            {
                Fail(e);
                _endLink();
                _events.ApplyFailed(e.Message);
                return;
            }
            Settle(epoch.Epoch);
        }
    }

    private void Fail(Exception why)
    {
        lock (_lock)
        {
            _failure = why;
            Monitor.PulseAll(_lock);
        }
    }
}
