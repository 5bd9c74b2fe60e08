using System.Diagnostics;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Qemu.Checkpointing;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;
using Pollux.Replication.Scrubbing;

namespace Pollux.Keeper.Primary;

/// <summary>
/// What the checkpoint thread does: wait for QEMU's request · capture, guest stopped · drain what the guest has said · open the next epoch ·
/// resume · ship; or ship · resume, in synchronous transmission with the standby's acknowledgement in between. LOADED (resume) waits
/// while the gate is closed.
/// </summary>
/// <param name="report">Takes the cuts, and a link that does not get on.</param>
/// <param name="ended">Wakes what waits here; else the loop ends when QEMU closes the channel.</param>
internal sealed class CheckpointLoop(Guest guest, ChunkPool pool, CheckpointStats stats, Action<PairEvent> report, CancellationToken ended)
{
    private readonly BufferSizing _sizing = new();
    private readonly Commits _commits = new();
    private readonly ManualResetEventSlim _gate = new(true);
    private readonly ManualResetEventSlim _cutResume = new(false);
    private TriggerLoop? _trigger;
    private Epoch _open = Epoch.None;
    private long _resumedAt;
    private bool _finalWanted;

    /// <summary>The epoch in which the guest runs.</summary>
    public Epoch Open => _open;

    /// <summary>How often a cut waited for the standby.</summary>
    public long Waits => _commits.Waits;

    /// <summary>May be changed while the guest runs.</summary>
    public Transmission Transmission { get; set; }

    public void ResumeFromCut() => _cutResume.Set();
    public void CloseGate() => _gate.Reset();
    public void OpenGate() => _gate.Set();

    /// <summary>The next checkpoint is the last: the guest stays stopped after it.</summary>
    public void CutFinal()
    {
        Volatile.Write(ref _finalWanted, true);
        _trigger?.Demand();
    }

    public void Change(TriggerSettings settings) => _trigger?.Change(settings);

    /// <summary>A frame waits for a cut.</summary>
    public void FrameWaits() => _trigger?.Wake();

    public void Committed(Epoch epoch)
    {
        _commits.Note(epoch);
        stats.Committed = epoch.Value;
        _trigger?.Wake();
    }

    /// <summary>Asks QEMU for no more checkpoints. From any thread, as often as one likes.</summary>
    public void AskNoMore() => _trigger?.Dispose();

    /// <summary>Lets go whoever waits for the gate or for the first cut: the session is over, and nothing resumes a guest through the channel any more.</summary>
    public void LetGo()
    {
        _gate.Set();
        _cutResume.Set();
    }

    /// <summary>Takes checkpoints until the channel or the session ends, which it always tells by an exception.</summary>
    public void Run(CheckpointChannel channel, LinkSender link, RamScrubber? scrubber, TriggerSettings settings)
    {
        CaptureFirst(channel, link);
        _trigger = new TriggerLoop("primary", settings, channel.Trigger, Look);
        _trigger.GuestRuns();
        while (channel.WaitForRequest())
        {
            CaptureNext(channel, link, scrubber);
        }
        throw new EndOfStreamException("QEMU closed the checkpoint channel");
    }

    private void CaptureFirst(CheckpointChannel channel, LinkSender link)
    {
        var buffer = new EpochBuffer(pool, new Epoch(0));
        link.Ship(buffer);
        var target = new BufferTarget(buffer, link.Wake);
        Fill(buffer, channel, target, first: true);
        _open = new Epoch(1);
        // Before the standby can have it whole: its acknowledgement must not be heard first.
        report(new PairEvent.FirstCut());
        buffer.Complete();
        link.Wake();
        _cutResume.Wait(ended);
        Resume(channel);
    }

    private void CaptureNext(CheckpointChannel channel, LinkSender link, RamScrubber? scrubber)
    {
        _commits.WaitToCut(_open, () => pool.HasRoom, () => _gate.IsSet && !ended.IsCancellationRequested, why => report(new PairEvent.LinkDown(why)));
        scrubber?.Choose();
        _trigger!.GuestStops();
        guest.HoldIngress();
        var ranMs = Stopwatch.GetElapsedTime(_resumedAt).TotalMilliseconds;
        var epoch = _open;
        var buffer = new EpochBuffer(pool, epoch);
        var shipAtOnce = Transmission == Transmission.Synchronous;
        if (shipAtOnce)
        {
            link.Ship(buffer);
        }
        var target = new BufferTarget(buffer, link.Wake)
        {
            // An epoch that would fill the pool travels while it is captured: the guest waits longer, memory stays bounded.
            Crowded = shipAtOnce ? null : () => link.Ship(buffer),
            CrowdedBytes = pool.CeilingBytes / 2,
        };
        var result = Fill(buffer, channel, target);
        guest.DrainEgress();
        _open = epoch.Next;
        guest.Egress.Open(_open);
        guest.Ingress.Open(_open);
        guest.PassIngress();
        buffer.Pages = result.Pages;
        buffer.Scrub = scrubber?.Take();
        FaultPoint.Pass(FaultPoints.Cut);
        buffer.Complete();
        // Postponed means after the guest runs: on a busy host the link's thread would take the processor that the guest needs. A closed
        // gate waits for what this epoch's arrival brings.
        var isFinal = Volatile.Read(ref _finalWanted);
        var resumed = !shipAtOnce && !isFinal && _gate.IsSet;
        try
        {
            if (resumed)
            {
                LetRun(channel);
            }
        }
        finally
        {
            if (!shipAtOnce && !target.WasCrowded)
            {
                link.Ship(buffer);
            }
            link.Wake();
        }
        FaultPoint.Pass(FaultPoints.Shipped);
        if (link.IsClosed)
        {
            buffer.Return();
        }
        stats.Cut(result.Pages, ranMs);
        if (isFinal)
        {
            report(new PairEvent.FinalCut(epoch));
            _gate.Reset();
        }
        if (shipAtOnce || isFinal)
        {
            _commits.WaitFor(epoch, () => !ended.IsCancellationRequested, why => report(new PairEvent.LinkDown(why)));
        }
        if (!resumed)
        {
            Resume(channel);
        }
        if (epoch.Value % 16 == 0)
        {
            pool.Shrink(_sizing);
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
        _gate.Wait(ended);
        LetRun(channel);
    }

    private void LetRun(CheckpointChannel channel)
    {
        channel.Resume();
        FaultPoint.Pass(FaultPoints.Resumed);
        _resumedAt = Stopwatch.GetTimestamp();
        _trigger?.GuestRuns();
    }

    private TriggerView Look() =>
        new(0, guest.Egress.HeldInOpenEpoch, (int)(_open.Value - 1 - _commits.Last.Value), stats.PagesPerMs, 0, stats.RecentPauseMs);
}
