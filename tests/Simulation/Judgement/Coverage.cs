using Pollux.Replication.Pair;

namespace Pollux.Simulation.Judgement;

/// <summary>What a life has seen. A life in which nothing happens proves nothing.</summary>
internal enum Seen
{
    Takeover,
    PlannedTakeover,
    Solo,
    SwapBack,
    Protected,
    SwapWon,
    SwapLost,
    UnknownSwap,
    UnknownSwapThatHadWon,
    SwapWithoutLease,
    PrimaryWasLate,
    StandbyWasLate,
    FrameSaidAgain,
    Verified,
    ReplacedWhileFrozen,
    ReleaseWithheldAfterAGap,
    CommittedFrameOfAReplacedPrimary,
    SuspicionTakenBack,
    BothSuspectAtOnce,
    Froze,
    TakerOverruled,
    Adopted,
    ColdStart,
    Disclaimed,
    RehearsalFailed,
    PartOfAnEpochThrownAway,
    TakeoverWithoutQuorum,
    SoloWithoutQuorum,
    Stopped,
    MoveBegun,
    Moved,
    MoveCancelled,
    MoveGivenUp,
    StateRefusedByDestination,
    HandedOver,
    TakenBack,
    TakeBackLost,
    LandingLost,
    GivenBack,
    RanOnWhenGivenBack,
    LandedAfterTheSourcesDeath,
    AdoptedAfterHandOver,
    FaultStruck,
}

internal sealed class Coverage
{
    private readonly long[] _counts = new long[Enum.GetValues<Seen>().Length];
    private bool _primarySuspects;
    private bool _standbySuspects;

    public long this[Seen seen] => _counts[(int)seen];

    public void Add(Seen seen) => _counts[(int)seen]++;

    public void Add(Coverage other)
    {
        for (var i = 0; i < _counts.Length; i++)
        {
            _counts[i] += other._counts[i];
        }
    }

    public void Moved(PairState before, PairState after, PairEvent because, bool hasQuorum)
    {
        if (!hasQuorum && after.Phase is PairPhase.Deciding or PairPhase.GoingSolo)
        {
            Add(after.Phase == PairPhase.Deciding ? Seen.TakeoverWithoutQuorum : Seen.SoloWithoutQuorum);
        }
        switch (before.Phase, after.Phase)
        {
            case (PairPhase.Confirming, PairPhase.Alone): Add(Seen.Takeover); break;
            case (PairPhase.HandingOver, PairPhase.Frozen): Add(Seen.PlannedTakeover); break;
            case (PairPhase.GoingSolo, PairPhase.Alone): Add(Seen.Solo); break;
            case (PairPhase.SwappingBack, PairPhase.Gone): Add(Seen.SwapBack); break;
            case (_, PairPhase.Protected) when before.Phase == PairPhase.Protecting: Add(Seen.Protected); break;
            case (PairPhase.Verifying, PairPhase.Protected): Add(Seen.Verified); break;
            case (PairPhase.Verifying, PairPhase.Gone or PairPhase.Frozen): Add(Seen.ReplacedWhileFrozen); break;
            case (PairPhase.Deciding, PairPhase.Standing): Add(Seen.SuspicionTakenBack); break;
            case (PairPhase.Frozen, PairPhase.GoingSolo) when because is PairEvent.TakeoverOverdue: Add(Seen.TakerOverruled); break;
            case (PairPhase.Claiming, PairPhase.Alone) when after.Adopting: Add(Seen.Adopted); break;
            case (PairPhase.Receiving, PairPhase.Gone) when because is PairEvent.RehearsalFailed: Add(Seen.RehearsalFailed); break;
            case (PairPhase.Stopping, PairPhase.Gone): Add(Seen.Stopped); break;
        }
        if (before.Phase != after.Phase)
        {
            NoteMove(before, after, because);
        }
        if (after.Phase == PairPhase.Frozen)
        {
            Add(Seen.Froze);
        }
        NoteSuspicions(before.Phase, after.Phase);
    }

    public override string ToString() => string.Join(Environment.NewLine, Enum.GetValues<Seen>().Select(s => $"  {s,-34} {this[s],12:N0}"));

    private void NoteMove(PairState before, PairState after, PairEvent because)
    {
        switch (before.Phase, after.Phase)
        {
            case (PairPhase.Alone, PairPhase.Moving): Add(Seen.MoveBegun); break;
            case (PairPhase.Resuming, PairPhase.Alone): Add(Seen.Moved); break;
            case (PairPhase.Returning, PairPhase.Gone) when because is PairEvent.SwapWon: Add(Seen.GivenBack); break;
            case (PairPhase.Yielding, PairPhase.Alone): Add(Seen.RanOnWhenGivenBack); break;
            case (PairPhase.Moving, PairPhase.Alone) when because is PairEvent.MigrationCancelled: Add(Seen.MoveCancelled); break;
            case (PairPhase.Moving, PairPhase.Alone) when because is PairEvent.MigrationFailed: Add(Seen.MoveGivenUp); break;
            case (PairPhase.Arriving, PairPhase.Gone) when because is PairEvent.ArrivalFailed: Add(Seen.StateRefusedByDestination); break;
            case (PairPhase.Moving, PairPhase.HandedOff): Add(Seen.HandedOver); break;
            case (PairPhase.GoingSolo or PairPhase.Frozen, PairPhase.Alone) when before.IsHandedOver: Add(Seen.TakenBack); break;
            case (PairPhase.GoingSolo, PairPhase.Gone or PairPhase.Frozen) when before.IsHandedOver: Add(Seen.TakeBackLost); break;
            case (PairPhase.Landing, PairPhase.Gone) when because is PairEvent.SwapLost: Add(Seen.LandingLost); break;
        }
    }

    private void NoteSuspicions(PairPhase before, PairPhase after)
    {
        _primarySuspects = after == PairPhase.GoingSolo || (_primarySuspects && before != PairPhase.GoingSolo);
        _standbySuspects = after is PairPhase.Deciding or PairPhase.Taking || (_standbySuspects && before is not (PairPhase.Deciding or PairPhase.Taking));
        if (_primarySuspects && _standbySuspects && after is PairPhase.GoingSolo or PairPhase.Deciding)
        {
            Add(Seen.BothSuspectAtOnce);
        }
    }
}
