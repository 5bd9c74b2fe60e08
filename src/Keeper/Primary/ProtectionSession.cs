using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Qmp;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;
using Pollux.Replication.Scrubbing;
using Pollux.Replication.Shipping;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Primary;

/// <summary>
/// One protection of the guest by one standby, on the primary: the life of the checkpoint thread (<see cref="CheckpointLoop"/>) and of the link
/// (<see cref="PrimaryLink"/>). It reports to the pair's machine and does what the machine decides; after <see cref="EndAsync"/> it reports nothing more.
/// </summary>
internal sealed class ProtectionSession
{
    private readonly Guest _guest;
    private readonly ProtectionOptions _options;
    private readonly Action<PairEvent> _post;
    private readonly ChunkPool _pool;
    private readonly Thread _thread;
    private readonly CheckpointLoop _loop;
    private readonly Lock _endLock = new();
    private readonly CancellationTokenSource _ended = new();
    private Task<CheckpointChannel>? _opening;
    private CheckpointChannel? _channel;
    private volatile PrimaryLink? _link;
    private volatile RamScrubber? _scrubber;
    private CompressionMode _compression;
    private bool _isEnded;
    private volatile bool _isDown;

    public ProtectionSession(Guest guest, ProtectionOptions options, Action<PairEvent> post)
    {
        (_guest, _options, _post) = (guest, options, post);
        _thread = new Thread(Run) { IsBackground = true, Name = "checkpoint" };
        _pool = new ChunkPool(options.BufferCeilingBytes);
        _loop = new CheckpointLoop(guest, _pool, Stats, Report, _ended.Token) { Transmission = options.Transmission };
        MayRelease = () => _link is not { MayRelease: false };
        _compression = options.Compression;
    }

    public CheckpointStats Stats { get; } = new();
    public ChunkPool Pool => _pool;

    /// <summary>How often a cut waited for the link, or a capture for memory.</summary>
    public long Waits => _pool.Waits + _loop.Waits;

    /// <summary>What became of captured pages; null while there is no link.</summary>
    public ShippingCounts? Shipping => _link?.Sender.Counts;

    /// <summary>What went over the link, and whether it is compressed; null while there is no link.</summary>
    public EpochFrames? Pieces => _link?.Sender.Pieces;

    /// <summary>Pages hashed for the scrub, and how often all of the RAM was.</summary>
    public (long Pages, long Rounds) Scrubbed => _scrubber is { } scrubber ? (scrubber.Pages, scrubber.Rounds) : default;
    public Member Standby => _options.Standby;

    /// <summary>Connects and begins; failures are reported as events. Returns at once.</summary>
    public void Begin() => _thread.Start();

    public void ResumeFromCut() => _loop.ResumeFromCut();
    public void CloseGate() => _loop.CloseGate();
    public void OpenGate() => _loop.OpenGate();

    /// <summary>The next checkpoint is the last: the guest stays stopped after it.</summary>
    public void CutFinal() => _loop.CutFinal();

    /// <summary>While the guest runs.</summary>
    public void Change(TriggerSettings settings, Transmission transmission)
    {
        _loop.Transmission = transmission;
        _loop.Change(settings);
        Stats.BeginWindow();
        _channel?.SetInterval((int)settings.IntervalMs);
    }

    public void SetDetection(int detectionMs) => _link?.SetDetection(detectionMs);

    public void SetCompression(CompressionMode mode)
    {
        lock (_endLock)
        {
            _compression = mode;
            if (_link is { } link)
            {
                link.Sender.Pieces.Mode = mode;
            }
        }
    }

    public void Tell(FrameType type, long epoch, string text) => _link?.Tell(type, epoch, text);
    public void Tell(FrameType type, byte[] payload) => _link?.Sender.Post(type, 0, payload);

    /// <summary>See <see cref="UnheardLateness"/>.</summary>
    public Func<bool> MayRelease { get; }

    public void LatenessHeard() => _link?.LatenessHeard();

    /// <summary>There is ingress to copy, or a frame to tell.</summary>
    public void WakeLink() => _link?.Sender.Wake();

    /// <summary>A frame waits for a cut.</summary>
    public void FrameWaits() => _loop.FrameWaits();

    /// <summary>This primary is dead: the standby is told so, and not dismissed when the session ends.</summary>
    public void TellDown(string why)
    {
        _isDown = true;
        Tell(FrameType.PrimaryDown, 0, why);
    }

    /// <summary>
    /// Ends checkpointing at once, so that the guest runs on; then takes leave of the standby and frees everything. Completes when that is
    /// done.
    /// </summary>
    public Task EndAsync(string why)
    {
        lock (_endLock)
        {
            if (_isEnded)
            {
                return Task.CompletedTask;
            }
            _isEnded = true;
        }
        _ended.Cancel();
        _loop.AskNoMore();
        _guest.Ingress.Close();
        return Task.Run(() => TakeLeaveAsync(why));
    }

    private async Task TakeLeaveAsync(string why)
    {
        if (!_isDown)
        {
            Tell(FrameType.Dismiss, 0, why);
        }
        if (_opening is { } opening)
        {
            await EndChannelAsync(opening).ConfigureAwait(false);
        }
        _loop.LetGo();
        _link?.TakeLeave();
        // Wakes a capture that waits for room. Chunks that are lent stay mapped until they are given back.
        _pool.Dispose();
    }

    /// <summary>One that is still being opened is undone by who opens it: what comes next in this QEMU must not be taken for it.</summary>
    private static async Task EndChannelAsync(Task<CheckpointChannel> opening)
    {
        try
        {
            var channel = await opening.ConfigureAwait(false);
            await channel.EndAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (IsEndOfSession(e))
        {
            KeeperLog.Say($"ending the checkpoint channel: {e.Message}");
        }
    }

    private void Run()
    {
        PrimaryLink link;
        try
        {
            link = Connect();
        }
        catch (Exception e) when (IsEndOfSession(e))
        {
            Report(new PairEvent.LinkDown(e.Message));
            return;
        }
        try
        {
            Checkpoint(link.Sender);
        }
        catch (Exception e) when (IsEndOfSession(e))
        {
            if (GuestLives())
            {
                Report(new PairEvent.CheckpointingEnded(e.Message));
            }
        }
        finally
        {
            _loop.AskNoMore();
            _guest.PassIngress();
            _scrubber?.Dispose();
        }
    }

    /// <summary>
    /// A dead QEMU closes the channel too, a moment before its death is known. Going solo with a dead guest would throw away the standby
    /// that can go on, so the death must be ruled out first: QEMU answers, or it is left to whoever watches the process.
    /// </summary>
    private bool GuestLives()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        try
        {
            _guest.Qmp.ExecuteAsync("query-status", null, patience.Token).GetAwaiter().GetResult();
            return true;
        }
        catch (QmpClosedException)
        {
            return false;
        }
        catch (OperationCanceledException)
        {
            return !_guest.HasExited; // silent but there
        }
    }

    private PrimaryLink Connect()
    {
        var standby = _options.Connect();
        lock (_endLock)
        {
            if (_isEnded)
            {
                standby.Data.Dispose();
                standby.Heartbeat.Dispose();
                throw new OperationCanceledException();
            }
            _link = new PrimaryLink(standby, _options, _compression, _guest, _pool, () => _loop.Open, _loop.Committed, Report);
        }
        _scrubber = standby.Speaks >= Dialect.Scrub ? _options.Scrub?.TryOpen() : null;
        _link.Start();
        return _link;
    }

    private void Checkpoint(LinkSender link)
    {
        var settings = _options.Trigger();
        Task<CheckpointChannel> opening;
        lock (_endLock)
        {
            if (_isEnded)
            {
                return;
            }
            _opening = opening = CheckpointChannel.OpenAsync(_guest.Qmp, _guest.Version, _options.ChannelPath, (int)settings.IntervalMs, _ended.Token);
        }
        var channel = opening.GetAwaiter().GetResult();
        lock (_endLock)
        {
            if (_isEnded)
            {
                return;
            }
            _channel = channel;
        }
        _loop.Run(channel, link, _scrubber, settings);
    }

    /// <summary>Nothing is reported after the end, so that no word of an old session reaches a new one.</summary>
    private void Report(PairEvent e)
    {
        lock (_endLock)
        {
            if (!_isEnded)
            {
                _post(e);
            }
        }
    }

    private static bool IsEndOfSession(Exception e) =>
        e is IOException or SocketException or PolluxException or ObjectDisposedException or OperationCanceledException or InvalidOperationException
            or System.Security.Authentication.AuthenticationException;
}
