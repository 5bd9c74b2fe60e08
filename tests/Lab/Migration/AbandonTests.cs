using System.Diagnostics;
using Pollux.Core;
using Pollux.Lab.Migration;
using Pollux.Lab.Tests.Breadth;
using Pollux.Lab.Tests.Checkpointing;
using Pollux.Migration.Policies;
using Pollux.Migration.Streaming;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Outgoing;

namespace Pollux.Lab.Tests.Migration;

/// <summary>
/// Whatever ends a migration, in whichever phase: the guest runs at the source, nothing of it is left in QEMU, and the next one succeeds.
/// </summary>
public sealed class AbandonTests
{
    /// <summary>Slow enough that each phase lasts.</summary>
    private const double SlowMBps = 8;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [KvmFact]
    public async Task Cancelled_WhileTheGuestRuns_GuestRunsOnAndMovesLater()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never);
        await move.UntilAsync(() => move.Outgoing.SentBytes > 4 << 20);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task Cancelled_WhileItBegins_LeavesNothingInQemu()
    {
        const int times = 100;
        const int warmUp = 5;
        await using var source = await MigrationGuests.Boot32Async();
        var random = new Random(20);
        var whole = TimeSpan.Zero;
        var ended = 0;
        for (var i = 0; i < times; i++)
        {
            var (near, far) = LinkPair.Make();
            await using var nearEnd = near;
            await using var farEnd = far;
            using var cancel = new CancellationTokenSource();
            var begin = Stopwatch.GetTimestamp();
            // The first ones tell how long it takes; the others end at a random moment of that.
            var moment = i < warmUp ? TimeSpan.MaxValue : random.NextDouble() * whole;
            var cancelling = Task.Run(() =>
            {
                SpinWait.SpinUntil(() => cancel.IsCancellationRequested || Stopwatch.GetElapsedTime(begin) > moment);
                cancel.Cancel();
            });
            try
            {
                await using var outgoing = await OutgoingMigration.BeginAsync(source.Outgoing(TestPolicy.Never, source.Terms(SlowMBps, 2000, 60)), near, cancel.Token);
                whole = Stopwatch.GetElapsedTime(begin);
                await outgoing.AbandonAsync(resume: true);
            }
            catch (OperationCanceledException)
            {
                ended++;
            }
            await cancel.CancelAsync();
            await cancelling;
            Assert.False(await OutgoingStream.IsThereAsync(source.Qmp, CancellationToken.None), $"the {i}th, ended after {moment.TotalMilliseconds:0.0} of {whole.TotalMilliseconds:0.0} ms, is still there");
            Assert.Equal("running", await source.RunStateAsync());
        }
        Assert.InRange(ended, times / 4, times - warmUp);
        var moved = await source.MoveAsync(new TestPolicy(2000), source.Terms(512, 2000, 60), CancellationToken.None);
        await using var destination = moved.Destination;
        await MigrationGuests.UntilGoingOnAsync(destination);
    }

    [KvmFact]
    public async Task Cancelled_BeforeTheRestIsSent_GuestRunsOnAndMovesLater()
    {
        await using var move = await HalfMove.BeginAsync(512, new TestPolicy(2000));
        await move.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
        Assert.Equal("finish-migrate", await move.Source.RunStateAsync());
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task Cancelled_WhileTheRestIsSent_GuestRunsOnAndMovesLater()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, new TestPolicy(1, s => s.SentBytes > 2 << 20 ? new MigrationOrder.SwitchOver(0, "now") : new MigrationOrder.GoOn()));
        var switchover = await move.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
        using var cancel = new CancellationTokenSource();
        var completing = move.Outgoing.CompleteAsync(cancel.Token);
        await move.UntilAsync(() => move.Outgoing.SentBytes > switchover.SentBytes + (1 << 20));
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => completing);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task Cancelled_WhilePagesThatWaitedAreSent_GuestRunsOnAndMovesLater()
    {
        const ulong All = ulong.MaxValue;
        await using var move = await HalfMove.BeginAsync(SlowMBps, new TestPolicy(1, s => s.PostponedBytes > 16 << 20
            ? new MigrationOrder.SwitchOver(0, "now") { PostponedSlices = All }
            : new MigrationOrder.GoOn() { PostponedSlices = All }));
        var switchover = await move.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
        var completing = move.Outgoing.CompleteAsync(CancellationToken.None);
        await move.UntilAsync(() => move.Outgoing.SentBytes > switchover.SentBytes + (4 << 20));
        await move.Outgoing.AbandonAsync(resume: true);
        await Assert.ThrowsAnyAsync<Exception>(() => completing);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task Abandoned_AfterTheDestinationLoadedIt_GuestRunsOnAndMovesLater()
    {
        await using var move = await HalfMove.BeginAsync(512, new TestPolicy(2000));
        await move.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
        await move.Outgoing.CompleteAsync(CancellationToken.None);
        await move.Receiving;
        Assert.Equal("postmigrate", await move.Source.RunStateAsync());
        Assert.Equal("paused", await move.Destination.RunStateAsync());
        await move.Outgoing.AbandonAsync(resume: true);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [Theory]
    [Trait("Suite", "long")]
    [InlineData("trixie")]
    [InlineData("trixie-backports")]
    public async Task Cancelled_InEachPhase_UnderTheQemuOfALaterDebian_GuestRunsOnAndMovesLater(string suite)
    {
        var qemu = await UnpackedQemu.OfAsync(suite);
        await using (var running = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never, qemu: qemu))
        {
            await running.UntilAsync(() => running.Outgoing.SentBytes > 4 << 20);
            await running.AssertAbandonedAsync();
        }
        await using (var stopped = await HalfMove.BeginAsync(512, new TestPolicy(2000), qemu: qemu))
        {
            await stopped.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
            await stopped.AssertAbandonedAsync();
        }
        await using (var sending = await HalfMove.BeginAsync(SlowMBps, new TestPolicy(1, s => s.SentBytes > 2 << 20 ? new MigrationOrder.SwitchOver(0, "now") : new MigrationOrder.GoOn()), qemu: qemu))
        {
            var switchover = await sending.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
            var completing = sending.Outgoing.CompleteAsync(CancellationToken.None);
            await sending.UntilAsync(() => sending.Outgoing.SentBytes > switchover.SentBytes + (1 << 20));
            await sending.AssertAbandonedAsync();
            await Assert.ThrowsAnyAsync<Exception>(() => completing);
        }
        await using (var loaded = await HalfMove.BeginAsync(512, new TestPolicy(2000), qemu: qemu))
        {
            await loaded.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
            await loaded.Outgoing.CompleteAsync(CancellationToken.None);
            await loaded.Receiving;
            await loaded.AssertAbandonedAsync();
        }
    }

    [KvmFact]
    public async Task LinkCut_WhileTheGuestRuns_BothEndsSaySoAndGuestRunsOn()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never);
        await move.UntilAsync(() => move.Outgoing.SentBytes > 4 << 20);
        await move.CutAsync();
        var told = await Assert.ThrowsAsync<PolluxException>(() => move.Outgoing.UntilSwitchoverAsync(CancellationToken.None));
        Assert.Contains("link to the destination broke", told.Message, StringComparison.Ordinal);
        var toldThere = await Assert.ThrowsAsync<PolluxException>(() => move.Receiving);
        Assert.Contains("link to the source broke", toldThere.Message, StringComparison.Ordinal);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task LinkCut_WhileTheRestIsSent_GuestRunsOnAndMovesLater()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, new TestPolicy(1, s => s.SentBytes > 2 << 20 ? new MigrationOrder.SwitchOver(0, "now") : new MigrationOrder.GoOn()));
        var switchover = await move.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
        var completing = move.Outgoing.CompleteAsync(CancellationToken.None);
        await move.UntilAsync(() => move.Outgoing.SentBytes > switchover.SentBytes + (1 << 20));
        await move.CutAsync();
        await Assert.ThrowsAsync<PolluxException>(() => completing);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task SilentLink_OnCancel_IsNotWaitedFor()
    {
        // Nobody reads the far end: the relay stands in a write that never ends.
        await using var move = await HalfMove.BeginAsync(null, TestPolicy.Never, receive: false);
        await move.UntilAsync(() => move.Outgoing.SentBytes > 0);
        await move.Outgoing.AbandonAsync(resume: true).WaitAsync(Patience);
        await move.AssertRunsAtSourceAsync();
    }

    [KvmFact]
    public async Task DestinationKilled_WhileTheGuestRuns_GuestRunsOnAndMovesLater()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never);
        await move.UntilAsync(() => move.Outgoing.SentBytes > 4 << 20);
        move.Destination.Process.Kill();
        await Assert.ThrowsAsync<PolluxException>(() => move.Receiving);
        await Assert.ThrowsAsync<PolluxException>(() => move.Outgoing.UntilSwitchoverAsync(CancellationToken.None));
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task SourceKilled_BothEndsSaySo()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never);
        await move.UntilAsync(() => move.Outgoing.SentBytes > 4 << 20);
        move.Source.Process.Kill();
        await Assert.ThrowsAnyAsync<PolluxException>(() => move.Outgoing.UntilSwitchoverAsync(CancellationToken.None));
        await Assert.ThrowsAnyAsync<PolluxException>(() => move.Outgoing.AbandonAsync(resume: true));
        await Assert.ThrowsAsync<PolluxException>(() => move.Receiving);
    }

    [KvmFact]
    public async Task DestinationWithLessMemory_RefusesInQemusWords()
    {
        await using var move = await HalfMove.BeginAsync(512, new TestPolicy(2000), destinationMiB: 48);
        var refused = await Assert.ThrowsAsync<PolluxException>(() => move.Receiving);
        Assert.Contains("QEMU did not take the state in", refused.Message, StringComparison.Ordinal);
        Assert.Contains("ram0", refused.Message, StringComparison.Ordinal);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
    }

    [KvmFact]
    public async Task Deadline_ThatPasses_IsToldAndGuestRunsOn()
    {
        await using var move = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never, deadlineSeconds: 0.5);
        var told = await Assert.ThrowsAsync<PolluxException>(() => move.Outgoing.UntilSwitchoverAsync(CancellationToken.None));
        Assert.Contains("did not end within its 0.5 s", told.Message, StringComparison.Ordinal);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
    }

    [KvmFact]
    public async Task GuestPausedByItsUser_StaysPausedWhenAbandoned()
    {
        await using var move = await HalfMove.BeginAsync(512, TestPolicy.Never);
        await move.Source.Qmp.ExecuteAsync("stop");
        await move.Outgoing.UntilSwitchoverAsync(CancellationToken.None);
        await move.Outgoing.AbandonAsync(resume: true);
        Assert.NotEqual("running", await move.Source.RunStateAsync());
        await move.Source.Qmp.ExecuteAsync("cont");
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    [KvmFact]
    public async Task Throttle_HeldUntilOrdered_SlowsTheGuestThen()
    {
        var ordered = false;
        var policy = new TestPolicy(1, s => !ordered && s.AtMs > 3000 && (ordered = true) ? new MigrationOrder.Throttle("slow it down") : new MigrationOrder.GoOn());
        await using var move = await HalfMove.BeginAsync(SlowMBps, policy, whenLonger: WhenLonger.Throttle);
        using var enough = new CancellationTokenSource();
        var iterating = move.Outgoing.UntilSwitchoverAsync(enough.Token);
        await move.UntilAsync(() => iterating.IsCompleted || move.Outgoing.Progress.ThrottlePercent >= 20);
        Assert.False(iterating.IsCompleted, $"the migration goes on: {iterating.Exception?.Message}");
        Assert.True(ordered, "QEMU holds the guest back no sooner than it was told to");
        await enough.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => iterating);
        await move.Outgoing.AbandonAsync(resume: true);
        await move.AssertRunsAtSourceAsync();
    }

    [Fact]
    public async Task Abandoned_GuestCanBeProtected()
    {
        // Under emulation, since a checkpoint of it must succeed too.
        await using var move = await HalfMove.BeginAsync(SlowMBps, TestPolicy.Never, linux: true);
        await move.UntilAsync(() => move.Outgoing.SentBytes > 4 << 20);
        await move.Outgoing.AbandonAsync(resume: true);
        using var channel = await CheckpointChannel.OpenAsync(
            move.Source.Qmp, move.Source.Version, move.Source.Paths.Channel, intervalMs: 100, CancellationToken.None);
        await channel.EndAsync(CancellationToken.None);
        await move.AssertRunsAtSourceAsync();
        await move.AssertMovesLaterAsync();
    }

    /// <summary>A migration that stands where a test wants it.</summary>
    private sealed class HalfMove : IAsyncDisposable
    {
        private readonly IncomingMigration _incoming;
        private readonly Stream _near;
        private readonly Stream _far;

        private HalfMove(MovableGuest source, MovableGuest destination, IncomingMigration incoming, Stream near, Stream far, OutgoingMigration outgoing, Task receiving) =>
            (Source, Destination, _incoming, _near, _far, Outgoing, Receiving) = (source, destination, incoming, near, far, outgoing, receiving);

        public MovableGuest Source { get; }
        public MovableGuest Destination { get; }
        public OutgoingMigration Outgoing { get; }
        public Task Receiving { get; }

        public static async Task<HalfMove> BeginAsync(
            double? linkMBps, IMigrationPolicy policy, double deadlineSeconds = 60, bool receive = true, WhenLonger whenLonger = WhenLonger.Wait, long? destinationMiB = null, bool linux = false,
            string qemu = MovableSpec.Stock)
        {
            // Content in its pages, so that they are sent whole.
            var source = linux ? await MigrationGuests.LinuxAsync() : await MigrationGuests.Boot32Async("pages=8000 mib=32", qemu);
            var spec = destinationMiB is { } mib ? source.Spec with { Vm = source.Spec.Vm with { MemoryBytes = mib << 20 } } : source.Spec;
            var destination = await source.StartDestinationAsync(spec, CancellationToken.None);
            var incoming = await destination.PrepareIncomingAsync(CancellationToken.None);
            var (near, far) = LinkPair.Make();
            var receiving = receive ? incoming.ReceiveAsync(far, null, CancellationToken.None) : Task.CompletedTask;
            var outgoing = await OutgoingMigration.BeginAsync(source.Outgoing(policy, source.Terms(linkMBps, 2000, deadlineSeconds, whenLonger)), near, CancellationToken.None);
            return new HalfMove(source, destination, incoming, near, far, outgoing, receiving);
        }

        public Task UntilAsync(Func<bool> holds) => Source.UntilAsync(_ => holds(), "where the test wants it", CancellationToken.None);

        public async Task CutAsync() => await _far.DisposeAsync();

        public async Task AssertRunsAtSourceAsync()
        {
            Assert.Equal("running", await Source.RunStateAsync());
            await MigrationGuests.UntilGoingOnAsync(Source);
        }

        public async Task AssertAbandonedAsync()
        {
            await Outgoing.AbandonAsync(resume: true);
            await AssertRunsAtSourceAsync();
            await AssertMovesLaterAsync();
        }

        public async Task AssertMovesLaterAsync()
        {
            var moved = await Source.MoveAsync(new TestPolicy(2000), Source.Terms(512, 2000, 60), CancellationToken.None, d => MigrationGuests.AssertEqualRam(Source, d));
            await using var destination = moved.Destination;
            await MigrationGuests.UntilGoingOnAsync(destination);
        }

        public async ValueTask DisposeAsync()
        {
            await Outgoing.DisposeAsync();
            await _near.DisposeAsync();
            await _far.DisposeAsync();
            await Task.WhenAny(Receiving);
            await _incoming.DisposeAsync();
            await Destination.DisposeAsync();
            await Source.DisposeAsync();
        }
    }
}
