using Pollux.Migration.Policies;
using Pollux.Migration.Watching;

namespace Pollux.Migration.Replay;

/// <summary>One run of <see cref="MigrationReplay"/>. Times are virtual milliseconds since its beginning.</summary>
internal sealed class ReplayedMigration
{
    private const double TickMs = 2;
    private const double SliceMs = 50; // ram.c, MAX_WAIT: after that long QEMU asks how much is pending
    private const double WindowMs = 100; // migration.c, BUFFER_DELAY
    private const double SampleMs = 50;
    private const double GroupsMs = 200;
    private const double RateWindowMs = 500;
    private const double ZeroPageMs = 0.001; // reading 4 KiB to find them zero
    private const double PostponedPageMs = 0.003; // writing them to the relay's socket
    private const double LinkNoise = 0.03;
    private const double OverheadNoise = 0.2;
    private const double SwitchOverLimitMs = 2_000_000; // QEMU's most

    private readonly MigrationTerms _terms;
    private readonly double _linkBytesPerMs;
    private readonly Random _random;
    private readonly TracePlayer _guest;
    private readonly PrecopyMemory _memory;
    private readonly RamSampler? _sampler;
    private readonly QemuThrottle _throttle = new();
    private readonly List<MigrationSample> _samples = [];
    private double _now;
    private double _guestMs;
    private double _limitMs;
    private ulong _postponedSlices;
    private double _credit; // bytes that the link may still carry of the time that has passed
    private double _thresholdBytes;
    private double _windowFrom;
    private long _windowBytes; // as QEMU counts them: it knows nothing of what is postponed
    private double _sliceFrom;
    private long _iteration = 1;
    private long _sentBytes;
    private double _groupsAtMs = double.NegativeInfinity;
    private long _groupsIteration;
    private double? _predictedMs;
    private string _why = "QEMU found what is left small enough";

    public ReplayedMigration(MigrationTerms terms, MemoryTrace trace, double linkBytesPerSecond, int seed, bool isWatched)
    {
        (_terms, _linkBytesPerMs, _random) = (terms, linkBytesPerSecond / 1000, new Random(seed));
        (_guest, _memory) = (new TracePlayer(trace, _random), new PrecopyMemory(trace));
        _sampler = isWatched ? new RamSampler(trace.Groups * MemoryTrace.PagesPerGroup, _memory.Read, _random, () => _now) : null;
    }

    public ReplayEnd Live(IMigrationPolicy policy)
    {
        var setup = policy.Begin(_terms);
        (_limitMs, _throttle.IsOn) = (setup.DowntimeLimitMs, setup.AutoConverge);
        var nextSampleMs = SampleMs;
        while (true)
        {
            Tick();
            if (_now - _windowFrom >= WindowMs)
            {
                _thresholdBytes = _windowBytes / (_now - _windowFrom) * _limitMs;
                (_windowFrom, _windowBytes) = (_now, 0);
            }
            if ((_now - _sliceFrom >= SliceMs || _memory.Remaining == 0) && SliceEnds())
            {
                return Complete();
            }
            if (_now >= nextSampleMs)
            {
                nextSampleMs = _now + (SampleMs * (0.8 + (0.6 * _random.NextDouble())));
                _samples.Add(Sample());
                if (Obey(policy.Decide(_terms, _samples)) is { } gaveUp)
                {
                    return new ReplayEnd(_now, _sentBytes, null, null, _guestMs / _now, gaveUp);
                }
            }
        }
    }

    /// <summary>The guest runs and the link carries.</summary>
    private void Tick()
    {
        _now += TickMs;
        var guestMs = TickMs * (1 - (_throttle.Percent / 100.0));
        _guestMs += guestMs;
        _guest.Run(guestMs, _memory.Write);
        _credit = Math.Min(_credit, 0) + (_linkBytesPerMs * TickMs * (1 + (LinkNoise * ((2 * _random.NextDouble()) - 1))));
        while (_credit > 0 && _memory.Remaining > 0)
        {
            var bytes = _memory.SendNext(_iteration, _postponedSlices);
            _sentBytes += Math.Max(0, bytes);
            _windowBytes += bytes == PrecopyMemory.Postponed ? PrecopyMemory.PageOnLink : bytes;
            _credit -= bytes switch
            {
                PrecopyMemory.ZeroPageOnLink => ZeroPageMs * _linkBytesPerMs,
                PrecopyMemory.Postponed => PostponedPageMs * _linkBytesPerMs,
                _ => bytes,
            };
        }
    }

    /// <summary>QEMU asks how much is pending; true: little enough to stop the guest.</summary>
    private bool SliceEnds()
    {
        _sliceFrom = _now;
        if (Pending >= _thresholdBytes && Pending > 0)
        {
            return false;
        }
        var added = _memory.Look();
        _iteration++;
        _throttle.Looked(_now, added, _sentBytes);
        return Pending < _thresholdBytes;
    }

    private long Pending => (long)_memory.Remaining * DirtyLooks.PageBytes;

    private ReplayEnd Complete()
    {
        var stopped = _now;
        _memory.Look();
        while (_memory.SendNext(_iteration, postponedSlices: 0) is > 0 and var bytes)
        {
            _sentBytes += bytes;
            _now += bytes == PrecopyMemory.ZeroPageOnLink ? ZeroPageMs : bytes / _linkBytesPerMs;
        }
        var postponed = (long)_memory.PostponedPages * PrecopyMemory.PageOnLink;
        (_sentBytes, _now) = (_sentBytes + postponed, _now + (postponed / _linkBytesPerMs));
        _now += _terms.OverheadMs * (1 + (OverheadNoise * ((2 * _random.NextDouble()) - 1)));
        return new ReplayEnd(_now, _sentBytes, _now - stopped, _predictedMs, _guestMs / stopped, _why);
    }

    private MigrationSample Sample() => new(
        _now, _iteration, _sentBytes, Pending, _memory.SentPages, _memory.ResentPages, _throttle.DirtyPagesPerSecond, RateLately(), GroupsNow(), _throttle.Percent)
    {
        Ram = _sampler?.Look(RamSight.IsFirstRound(_memory.SentPages, _memory.ResentPages)),
        PostponedBySlice = _memory.PostponedPages > 0 ? _memory.PostponedBySlice : null,
    };

    private double RateLately()
    {
        var from = _samples.LastOrDefault(s => _now - s.AtMs >= RateWindowMs) ?? _samples.FirstOrDefault();
        return from is null ? _sentBytes * 1000 / _now : (_sentBytes - from.SentBytes) * 1000 / (_now - from.AtMs);
    }

    private GroupSample[]? GroupsNow()
    {
        if (_iteration == _groupsIteration && _now - _groupsAtMs < GroupsMs)
        {
            return null;
        }
        (_groupsAtMs, _groupsIteration) = (_now, _iteration);
        return _memory.Groups();
    }

    /// <summary>Why it gave up, if it did.</summary>
    private string? Obey(MigrationOrder order)
    {
        _postponedSlices = order.PostponedSlices;
        switch (order)
        {
            case MigrationOrder.Limit limit when _limitMs < SwitchOverLimitMs:
                _limitMs = limit.DowntimeLimitMs;
                return null;
            case MigrationOrder.SwitchOver over when _limitMs < SwitchOverLimitMs:
                (_limitMs, _predictedMs, _why) = (SwitchOverLimitMs, over.PredictedPauseMs, over.Why);
                return null;
            case MigrationOrder.Throttle:
                _throttle.IsOn = true;
                return null;
            case MigrationOrder.GiveUp giveUp:
                return giveUp.Why;
            default:
                return null;
        }
    }
}
