using Pollux.Cluster.Events;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper.Events;
using Pollux.Replication.Pair;
using Pollux.Unit.Tests.Replication.Pair;
using static Pollux.Unit.Tests.Replication.Pair.PairScript;

namespace Pollux.Unit.Tests.Keeper;

/// <summary>What the real machine's moves are told as.</summary>
public sealed class PairNewsTests
{
    [Fact]
    public void Protection_BeginsAndIsLost_SaysWithWhomAndWhy()
    {
        var began = Told(Syncing().Acknowledged(0), k => k.Wins());
        Assert.Equal((EventKinds.Protected, EventWeight.Info, "protected: b stands by and has rehearsed a takeover"), began);

        var lost = Told(Protected().When(new PairEvent.PeerSilent(151)), k => k.Wins());
        Assert.Equal((EventKinds.Solo, EventWeight.Warning, "runs on alone on a, not protected: the standby is silent for 151 ms"), lost);
    }

    [Fact]
    public void Protection_EndedByTheUser_IsNoWarning()
    {
        Assert.Equal((EventKinds.Unprotected, EventWeight.Info, "unprotected by the user"), Told(Protected().When(new PairEvent.UnprotectRequested()), k => k.Wins()));
        Assert.Equal(
            (EventKinds.StandbyLeft, EventWeight.Info, "b stands by no more: unprotected by the user"), Told(Standing(), k => k.When(new PairEvent.Dismissed("unprotected by the user"))));
    }

    [Fact]
    public void Sync_ThatFails_SaysWhoCouldNotBeFilledAndWhy() => Assert.Equal(
        (EventKinds.SyncFailed, EventWeight.Warning, "the standby on b could not be filled: the standby left: the rehearsal failed: no such device"),
        Told(Syncing(), k => k.When(new PairEvent.Dismissed("the rehearsal failed: no such device"))));

    [Fact]
    public void Standby_ThatCannotBeMadeOrRehearsed_SaysWhy()
    {
        Assert.Equal((EventKinds.StandbyFailed, EventWeight.Warning, "b cannot stand by: no memory"), Told(NewStandby(), k => k.When(new PairEvent.Dismissed("no memory"))));
        Assert.Equal(
            (EventKinds.RehearsalFailed, EventWeight.Alarm, "the rehearsal failed: no such device"),
            Told(NewStandby().When(new PairEvent.PrimaryConnected(A)).Whole(0), k => k.When(new PairEvent.RehearsalFailed("no such device"))));
    }

    [Fact]
    public void Takeover_Refused_IsAnAlarmOnTheSideThatFailed() => Assert.Equal(
        (EventKinds.TakeoverFailed, EventWeight.Alarm, "the takeover failed, and was given back: b could not take over: refused"),
        Told(Loading().When(new PairEvent.LoadFailed("refused")), k => k.Wins()));

    [Fact]
    public void Takeover_Won_SaysFromWhomWhyAndHowLongEachPartTook()
    {
        var told = PairNews.OfTakeover("a", new TakeoverStatus("the primary is silent for 153 ms", 152.64, 41.78, 42.82, 0, 0, 7));

        Assert.Equal("took over from a: the primary is silent for 153 ms (detected 152.6 ms, arbitrated 41.8 ms, resumed 42.8 ms)", told.Text);
        Assert.Equal((EventWeight.Warning, 152.64, 7), (told.Weight, told.Figures!["detectMs"], told.Figures["epoch"]));
        Assert.Equal(EventWeight.Info, PairNews.OfTakeover("a", new TakeoverStatus("planned takeover", 0, 1, 2, 0, 0, 7)).Weight);
    }

    [Fact]
    public void HandingOver_OnWish_IsNoWarning() => Assert.Equal(
        (EventKinds.HandedOver, EventWeight.Info, "b runs this VM now: b runs"), Told(HandedOver(), k => k.When(new PairEvent.RoleRead(RoleRunning(B), 900, PairEvent.RoleRead.Watched))));

    [Fact]
    public void Guest_ThatDiesWhileProtected_SaysWhoShallTakeOver() => Assert.Equal(
        (EventKinds.GuestDied, EventWeight.Alarm, "its QEMU is dead on a, so b shall take over: killed by signal 9"), Told(Protected(), k => k.When(new PairEvent.QemuExited("killed by signal 9"))));

    [Fact]
    public void Guest_ThatShutsDown_IsStoppedByItself() => Assert.Equal(
        (EventKinds.Stopped, EventWeight.Info, "the guest shut down"), Told(Alone().When(new PairEvent.StopRequested(ByGuest: true)), k => k.Wins()));

    [Fact]
    public void Lateness_ThatIsVerified_IsNotTold() => Assert.Equal(default, Told(Protected(), k => k.When(new PairEvent.WasLate(90, new Epoch(4)))));

    private static (string?, EventWeight, string?) Told(PairScript keeper, Func<PairScript, PairScript> step)
    {
        var before = keeper.State;
        PairEvent? because = null;
        var after = step(keeper).State;
        // The event that ended a QEMU or a rehearsal is what the text turns on; the others are told by the states alone.
        because = after.Reason switch
        {
            var r when r.StartsWith("killed", StringComparison.Ordinal) => new PairEvent.QemuExited(r),
            var r when r.StartsWith("the rehearsal failed", StringComparison.Ordinal) && before.IsStandby => new PairEvent.RehearsalFailed(r),
            var r when before.Phase is PairPhase.Waiting => new PairEvent.Dismissed(r),
            _ => new PairEvent.Started(),
        };
        var draft = PairNews.Of(before, after, because);
        return (draft?.Kind, draft?.Weight ?? default, draft?.Text);
    }
}
