using System.Diagnostics;
using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Qemu.Checkpointing;
using Pollux.Linux.Memory;
using Pollux.Qemu.Qmp;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Link;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Replication.Scrubbing;
using Pollux.Replication.Shipping;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <summary>
/// One protection of the guest by one standby, on the primary: the checkpoint thread (capture), the link (ship), the acknowledgements
/// (commit), the heartbeats. It reports to the pair's machine and does what the machine decides; after <see cref="EndAsync"/> it reports nothing more.
///
/// The checkpoint thread: wait for QEMU's request · capture, guest stopped · drain what the guest has said · open the next epoch ·
/// ship · resume. LOADED (resume) waits while the gate is closed, while the buffers are at their ceiling, and, in synchronous
/// transmission, for the standby's acknowledgement.
/// </summary>
internal sealed class ProtectionSession
{
    /// <summary>
    /// One epoch travels while the next is cut and waits for it. On a link that cannot keep up, more of them would only lie in the buffers,
    /// and every frame would wait for all that lies before it.
    /// </summary>
    private const int MostInFlight = 2;

    private const int RoomLookMs = 5;

    /// <summary>A standby whose heart beats but that commits nothing is lost all the same. A slow link takes seconds for a full buffer.</summary>
    private static readonly TimeSpan CommitWithin = TimeSpan.FromSeconds(60);

    private readonly Guest _guest;
    private readonly ProtectionOptions _options;
    private readonly Action<PairEvent> _post;
    private readonly ChunkPool _pool;
    private readonly Thread _thread;
    private readonly BufferSizing _sizing = new();
    private readonly UnheardLateness _lateness = new();
    private readonly ManualResetEventSlim _gate = new(true);
    private readonly ManualResetEventSlim _cutResume = new(false);
    private readonly object _commitLock = new();
    private readonly Lock _endLock = new();
    private readonly CancellationTokenSource _ended = new();
    private CheckpointChannel? _channel;
    private FrameStream? _data;
    private LinkSender? _sender;
    private HeartbeatLink? _heartbeat;
    private TriggerLoop? _trigger;
    private volatile RamScrubber? _scrubber;
    private Epoch _open = Epoch.None;
    private Epoch _committed = Epoch.None;
    private long _resumedAt;
    private long _linkWaits;
    private bool _finalWanted;
    private bool _isEnded;
    private volatile bool _isDown;

    public ProtectionSession(Guest guest, ProtectionOptions options, Action<PairEvent> post)
    {
        (_guest, _options, _post) = (guest, options, post);
        _thread = new Thread(Run) { IsBackground = true, Name = "checkpoint" };
        _pool = new ChunkPool(options.BufferCeilingBytes);
    }

    public CheckpointStats Stats { get; } = new();
    public ChunkPool Pool => _pool;

    /// <summary>How often a cut waited for the link, or a capture for memory.</summary>
    public long Waits => _pool.Waits + Interlocked.Read(ref _linkWaits);

    /// <summary>What became of captured pages; null while there is no link.</summary>
    public ShippingCounts? Shipping => _sender?.Counts;

    /// <summary>Pages hashed for the scrub, and how often all of the RAM was.</summary>
    public (long Pages, long Rounds) Scrubbed => _scrubber is { } scrubber ? (scrubber.Pages, scrubber.Rounds) : default;
    public Member Standby => _options.Standby;

    /// <summary>The transmission may be changed while the guest runs.</summary>
    public Transmission Transmission { get; set; }

    /// <summary>Connects and begins; failures are reported as events. Returns at once.</summary>
    public void Begin()
    {
        Transmission = _options.Transmission;
        _thread.Start();
    }

    public void ResumeFromCut() => _cutResume.Set();
    public void CloseGate() => _gate.Reset();
    public void OpenGate() => _gate.Set();

    /// <summary>The next checkpoint is the last: the guest stays stopped after it.</summary>
    public void CutFinal()
    {
        Volatile.Write(ref _finalWanted, true);
        _trigger?.Demand();
    }

    public void Change(TriggerSettings settings)
    {
        _trigger?.Change(settings);
        Stats.BeginWindow();
        _channel?.SetInterval((int)settings.IntervalMs);
    }

    public void SetDetection(int detectionMs) => _heartbeat?.SetDetection(detectionMs);

    public void Tell(FrameType type, long epoch, string text) => _sender?.Post(type, epoch, System.Text.Encoding.UTF8.GetBytes(text));
    public void Tell(FrameType type, byte[] payload) => _sender?.Post(type, 0, payload);

    /// <summary>See <see cref="UnheardLateness"/>.</summary>
    public bool MayRelease => _lateness.MayRelease(() => _heartbeat is { IsLate: true });

    public void LatenessHeard() => _lateness.Heard();

    /// <summary>There is ingress to copy, or a frame to tell.</summary>
    public void WakeLink() => _sender?.Wake();

    /// <summary>A frame waits for a cut.</summary>
    public void FrameWaits() => _trigger?.Wake();

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
        _trigger?.Dispose();
        _guest.Ingress.Close();
        return Task.Run(() => TakeLeaveAsync(why));
    }

    private async Task TakeLeaveAsync(string why)
    {
        if (!_isDown)
        {
            _sender?.Post(FrameType.Dismiss, 0, System.Text.Encoding.UTF8.GetBytes(why));
        }
        if (_channel is not null)
        {
            try
            {
                await _channel.EndAsync(CancellationToken.None).ConfigureAwait(false);
            }
            catch (PolluxException e)
            {
                KeeperLog.Say($"ending the checkpoint channel: {e.Message}");
            }
        }
        _gate.Set();
        _cutResume.Set();
        _sender?.FinishUrgent(TimeSpan.FromMilliseconds(500));
        _heartbeat?.Dispose();
        _data?.Dispose();
        lock (_commitLock)
        {
            Monitor.PulseAll(_commitLock);
        }
        // Wakes a capture that waits for room. Chunks that are lent stay mapped until they are given back.
        _pool.Dispose();
    }

    private void Run()
    {
        try
        {
            Connect();
        }
        catch (Exception e) when (IsEndOfSession(e))
        {
            Report(new PairEvent.LinkDown(Describe(e)));
            return;
        }
        try
        {
            Checkpoint();
        }
        catch (Exception e) when (IsEndOfSession(e))
        {
            if (GuestLives())
            {
                Report(new PairEvent.CheckpointingEnded(Describe(e)));
            }
        }
        finally
        {
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

    private void Connect()
    {
        var (data, heartbeat, speaks) = _options.Connect();
        lock (_endLock)
        {
            if (_isEnded)
            {
                data.Dispose();
                heartbeat.Dispose();
                throw new OperationCanceledException();
            }
            _data = data;
            _scrubber = speaks >= Dialect.Scrub ? OpenScrubber() : null;
            _sender = new LinkSender(data, "primary", _pool, _guest.Ingress, why => Report(new PairEvent.LinkDown(why)),
                speaks >= Dialect.Pages && _options.ShipChanges ? new EpochEncoder(data) : null,
                speaks >= Dialect.Egress ? new EgressCopies(_guest.Egress) : null);
            _heartbeat = new HeartbeatLink(heartbeat, "primary", _options.HeartbeatMs, _options.DetectionMs, Judge);
        }
        _heartbeat.Start();
        new Thread(ReadAnswers) { IsBackground = true, Name = "primary link in" }.Start();
    }

    /// <summary>Without it the guest is protected all the same.</summary>
    private RamScrubber? OpenScrubber()
    {
        if (_options.Scrub is not { } scrub)
        {
            return null;
        }
        try
        {
            var ram = MemoryMap.OpenReadOnly(scrub.RamFile);
            if (ram.Length == scrub.RamBytes)
            {
                return new RamScrubber(ram, scrub.Round);
            }
            ram.Dispose();
            KeeperLog.Say($"the standby's memory is not compared: {scrub.RamFile} has {ram.Length} bytes, the guest {scrub.RamBytes}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PolluxException)
        {
            KeeperLog.Say($"the standby's memory is not compared: {e.Message}");
        }
        return null;
    }

    private void Checkpoint()
    {
        var settings = _options.Trigger();
        var channel = CheckpointChannel.OpenAsync(
            _guest.Qmp, _guest.Version, _options.ChannelPath, (int)settings.IntervalMs, _ended.Token).GetAwaiter().GetResult();
        lock (_endLock)
        {
            _channel = channel;
            if (_isEnded)
            {
                // End came before there was a channel to end.
                _ = channel.EndAsync(CancellationToken.None);
                return;
            }
        }
        CaptureFirst(channel);
        _trigger = new TriggerLoop("primary", settings, channel.Trigger, Look);
        _trigger.GuestRuns();
        while (channel.WaitForRequest())
        {
            CaptureNext(channel);
        }
        throw new EndOfStreamException("QEMU closed the checkpoint channel");
    }

    private void CaptureFirst(CheckpointChannel channel)
    {
        var buffer = new EpochBuffer(_pool, new Epoch(0));
        _sender!.Ship(buffer);
        var target = new BufferTarget(buffer, _sender.Wake);
        Fill(buffer, channel, target, first: true);
        _open = new Epoch(1);
        // Before the standby can have it whole: its acknowledgement must not be heard first.
        Report(new PairEvent.FirstCut());
        buffer.Complete();
        _sender.Wake();
        _cutResume.Wait(_ended.Token);
        Resume(channel);
    }

    private void CaptureNext(CheckpointChannel channel)
    {
        WaitForLink();
        _scrubber?.Choose();
        _trigger!.GuestStops();
        var ranMs = Stopwatch.GetElapsedTime(_resumedAt).TotalMilliseconds;
        var epoch = _open;
        var buffer = new EpochBuffer(_pool, epoch);
        var shipAtOnce = Transmission == Transmission.Synchronous;
        if (shipAtOnce)
        {
            _sender!.Ship(buffer);
        }
        var target = new BufferTarget(buffer, _sender!.Wake)
        {
            // An epoch that would fill the pool travels while it is captured: the guest waits longer, memory stays bounded.
            Crowded = shipAtOnce ? null : () => _sender.Ship(buffer),
            CrowdedBytes = _pool.CeilingBytes / 2,
        };
        var result = Fill(buffer, channel, target);
        _guest.DrainEgress();
        _open = epoch.Next;
        _guest.Egress.Open(_open);
        _guest.Ingress.Open(_open);
        buffer.Pages = result.Pages;
        buffer.Scrub = _scrubber?.Take();
        FaultPoint.Pass(FaultPoints.Cut);
        buffer.Complete();
        if (!shipAtOnce && !target.WasCrowded)
        {
            _sender.Ship(buffer);
        }
        _sender.Wake();
        FaultPoint.Pass(FaultPoints.Shipped);
        if (_sender.IsClosed)
        {
            buffer.Return();
        }
        Stats.Cut(result.Pages, ranMs);
        if (Volatile.Read(ref _finalWanted))
        {
            Report(new PairEvent.FinalCut(epoch));
            _gate.Reset();
        }
        if (shipAtOnce)
        {
            WaitCommitted(epoch);
        }
        Resume(channel);
        if (epoch.Value % 16 == 0)
        {
            _pool.Shrink(_sizing);
        }
    }

    /// <summary>
    /// QEMU has asked, and the guest runs until it is answered: better that the link catches up now than inside the pause. Not while the
    /// gate is closed: then the guest shall stop.
    /// </summary>
    private void WaitForLink()
    {
        var least = new Epoch(_open.Value - MostInFlight);
        bool Waits() => (_committed < least || !_pool.HasRoom) && _gate.IsSet && !_ended.IsCancellationRequested;
        lock (_commitLock)
        {
            if (!Waits())
            {
                return;
            }
            _linkWaits++;
            var (since, committed) = (Stopwatch.GetTimestamp(), _committed);
            while (Waits())
            {
                // Room is not announced.
                Monitor.Wait(_commitLock, RoomLookMs);
                if (_committed != committed)
                {
                    (since, committed) = (Stopwatch.GetTimestamp(), _committed);
                }
                if (Stopwatch.GetElapsedTime(since) > CommitWithin)
                {
                    Report(new PairEvent.LinkDown($"no checkpoint was acknowledged for {CommitWithin.TotalSeconds:0} s"));
                    since = Stopwatch.GetTimestamp();
                }
            }
        }
    }

    /// <summary>Captures; an epoch that is not whole is nobody's and its memory goes back.</summary>
    private static CaptureResult Fill(EpochBuffer buffer, CheckpointChannel channel, BufferTarget target, bool first = false)
    {
        try
        {
            if (!first)
            {
                return channel.Capture(target);
            }
            channel.CaptureFirst(target);
            return default;
        }
        catch
        {
            buffer.Abandon();
            throw;
        }
    }

    private void Resume(CheckpointChannel channel)
    {
        _gate.Wait(_ended.Token);
        channel.Resume();
        FaultPoint.Pass(FaultPoints.Resumed);
        _resumedAt = Stopwatch.GetTimestamp();
        _trigger?.GuestRuns();
    }

    private void WaitCommitted(Epoch epoch)
    {
        lock (_commitLock)
        {
            while (_committed < epoch && !_ended.IsCancellationRequested)
            {
                Monitor.Wait(_commitLock, 100);
            }
        }
    }

    private (long Held, int InFlight, double PagesPerMs) Look()
    {
        Epoch committed;
        lock (_commitLock)
        {
            committed = _committed;
        }
        return (_guest.Egress.HeldInOpenEpoch, (int)(_open.Value - 1 - committed.Value), Stats.PagesPerMs);
    }

    private void ReadAnswers()
    {
        try
        {
            while (true)
            {
                var header = _data!.ReadHeader();
                var payload = _data.ReadPayload(header);
                switch (header.Type)
                {
                    case FrameType.Acknowledge when !FaultPoint.Pass(FaultPoints.Acknowledgement):
                        break;
                    case FrameType.Acknowledge:
                        Committed(new Epoch(header.Epoch));
                        break;
                    case FrameType.ScrubAlarm when _options.Scrub is { } scrub:
                        scrub.Alarm(System.Text.Encoding.UTF8.GetString(payload));
                        break;
                    case FrameType.Dismiss:
                        Report(new PairEvent.Dismissed(System.Text.Encoding.UTF8.GetString(payload)));
                        break;
                    default:
                        throw new Wire.WireFormatException($"the standby sent a {header.Type} frame");
                }
            }
        }
        catch (Exception e) when (IsEndOfSession(e))
        {
            Report(new PairEvent.LinkDown(e is EndOfStreamException ? "the standby closed it" : Describe(e)));
        }
    }

    private void Committed(Epoch epoch)
    {
        lock (_commitLock)
        {
            _committed = epoch;
            Monitor.PulseAll(_commitLock);
        }
        Stats.Committed = epoch.Value;
        Report(new PairEvent.Acknowledged(epoch));
        _trigger?.Wake();
    }

    private void Judge(SilenceVerdict verdict)
    {
        if (verdict.LateMs is { } late)
        {
            _lateness.Found();
            Report(new PairEvent.WasLate(late, _open));
        }
        if (verdict.SilentMs is { } silent)
        {
            Report(new PairEvent.PeerSilent(silent));
        }
        if (verdict.HeardAgain)
        {
            Report(new PairEvent.PeerHeard());
        }
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

    private static string Describe(Exception e) => e.Message;
}
