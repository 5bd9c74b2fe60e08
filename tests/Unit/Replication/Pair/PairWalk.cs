using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>
/// A pair's life as a random walk from a seed: two hosts, one role key, a link that breaks, answers that are lost or come late, and every
/// fault at every moment. It fails when a promise of the pair does: a frame that left is in the history of everyone who speaks afterwards,
/// two never run, an acknowledgement is never exceeded.
/// </summary>
internal sealed partial class PairWalk
{
    private static readonly HostId[] Hosts = [HostId.Create("a"), HostId.Create("b")];
    private readonly Random _random;
    private readonly SimulatedStore _store = new();
    private readonly List<SimulatedKeeper> _keepers = [];
    private readonly List<(HostId Host, SimulatedGuest Guest)> _orphans = [];
    private readonly List<int> _seenOutside = [];
    private readonly Queue<string> _trace = new();
    private int _lives;
    private int _marks;
    private bool _calm;

    public PairWalk(int seed)
    {
        _random = new Random(seed);
        Begin(PairState.ForPrimary(NewMember(Hosts[0]), adopting: false), null);
    }

    public int Takeovers { get; private set; }
    public int Solos { get; private set; }
    public int FramesOutside => _seenOutside.Count;
    public string Trace => string.Join('\n', _trace);

    public void Run(int steps)
    {
        for (var i = 0; i < steps; i++)
        {
            Move();
        }
    }

    /// <summary>No fault any more, every answer comes: everything must come to rest.</summary>
    public void ComeToRest()
    {
        _calm = true;
        for (var i = 0; i < 4000; i++)
        {
            Move();
        }
        foreach (var keeper in _keepers)
        {
            var isAtRest = keeper.State.Phase is PairPhase.Alone or PairPhase.Syncing or PairPhase.Protected or PairPhase.Waiting or PairPhase.Receiving or PairPhase.Ready or PairPhase.Standing;
            Promise(isAtRest, $"{keeper.State.Me} rests in {keeper.State.Phase}");
        }
    }

    private void Move()
    {
        _keepers.RemoveAll(k => k.IsGone);
        if (_store.Late > 0 && _random.Next(10) == 0)
        {
            _store.CarryOutLate(_random.Next(_store.Late));
        }
        if (_orphans.Count > 0 && _random.Next(20) == 0)
        {
            AdoptOrphan();
        }
        if (_keepers.Count == 0)
        {
            return;
        }
        var keeper = _keepers[_random.Next(_keepers.Count)];
        switch (_random.Next(_calm ? 30 : 36))
        {
            case < 6: keeper.Guest?.StepIfRunning(++_marks); break;
            case < 10: Cut(keeper); break;
            case < 20: Deliver(keeper); break;
            case < 27: Answer(keeper); break;
            case < 29: Watch(keeper); break;
            case < 30: GrowImpatient(keeper); break;
            case < 34: AskFor(keeper); break;
            default: Fault(keeper); break;
        }
    }

    private void Cut(SimulatedKeeper keeper)
    {
        if (!keeper.IsCheckpointing || keeper.Guest is not { IsStopped: false } guest || keeper.Link is not { } link)
        {
            return;
        }
        var epoch = keeper.FirstIsCut ? guest.Open : new Epoch(0);
        Send(link, true, new ShippedEpoch(epoch, [.. guest.History]));
        if (!keeper.FirstIsCut)
        {
            (keeper.FirstIsCut, guest.IsStopped) = (true, true);
            Feed(keeper, new PairEvent.FirstCut());
            return;
        }
        guest.Open = epoch.Next;
        guest.IsStopped = keeper.GateIsClosed || keeper.FinalWanted;
        if (keeper.FinalWanted)
        {
            keeper.FinalWanted = false;
            Feed(keeper, new PairEvent.FinalCut(epoch));
        }
    }

    private void Deliver(SimulatedKeeper keeper)
    {
        if (keeper.Link is not { } link)
        {
            return;
        }
        var queue = keeper.IsStandby ? link.ToStandby : link.ToPrimary;
        if (queue.TryDequeue(out var message))
        {
            if (message is ShippedEpoch shipped)
            {
                keeper.Whole[shipped.Epoch] = shipped;
                message = new PairEvent.EpochWhole(shipped.Epoch);
            }
            Feed(keeper, (PairEvent)message);
        }
        else if (link.IsBroken)
        {
            Feed(keeper, new PairEvent.LinkDown("closed"));
        }
    }

    private void Answer(SimulatedKeeper keeper)
    {
        if (keeper.UnderWay.Count == 0)
        {
            return;
        }
        var at = _random.Next(keeper.UnderWay.Count);
        var effect = keeper.UnderWay[at];
        keeper.UnderWay.RemoveAt(at);
        var fails = (!_calm && _random.Next(5) == 0) || (effect is PairEffect.Load && keeper.QemuIsDead);
        switch (effect)
        {
            case PairEffect.ReadRole: Feed(keeper, fails ? new PairEvent.ReadFailed("no answer") : ReadRole()); break;
            case PairEffect.SwapRole swap: Feed(keeper, AnswerSwap(swap.Swap, fails)); break;
            case PairEffect.StartGuest: Feed(keeper, new PairEvent.QemuExited("the QEMU to adopt has ended")); break;
            case PairEffect.Rehearse: Feed(keeper, fails ? new PairEvent.RehearsalFailed("refused") : new PairEvent.Rehearsed()); break;
            case PairEffect.Load load:
                if (!fails)
                {
                    keeper.Guest = NewGuest(keeper.Whole[load.Epoch].History);
                }
                Feed(keeper, fails ? new PairEvent.LoadFailed("refused") : new PairEvent.Loaded());
                break;
        }
    }

    private PairEvent AnswerSwap(PendingSwap swap, bool fails)
    {
        if (fails)
        {
            switch (_random.Next(4))
            {
                case 0: return new PairEvent.SwapLost(swap.Next.Nonce, _store.Role, _store.Revision, LeaseGone: true);
                case 1: _store.PutOff(swap); break;
                case 2: _store.TrySwap(swap); break;
            }
            return new PairEvent.SwapUnknown(swap.Next.Nonce, "timed out");
        }
        if (!_store.TrySwap(swap))
        {
            return new PairEvent.SwapLost(swap.Next.Nonce, _store.Role, _store.Revision, LeaseGone: false);
        }
        Solos += swap.Next is { State: RoleState.Running, Standby: null } ? 1 : 0;
        return new PairEvent.SwapWon(swap.Next.Nonce, _store.Revision);
    }

    private PairEvent.RoleRead ReadRole() => new(_store.Role, _store.Revision);

    private void Watch(SimulatedKeeper keeper)
    {
        if (keeper is { Watches: true, State.Phase: PairPhase.Frozen })
        {
            Feed(keeper, ReadRole());
        }
    }

    /// <summary>A taker that died is waited for in vain; the edge says so from time to time, rightly or too early.</summary>
    private void GrowImpatient(SimulatedKeeper keeper)
    {
        if (keeper.State.Phase is PairPhase.Frozen or PairPhase.Claiming)
        {
            Feed(keeper, new PairEvent.TakeoverOverdue());
        }
    }

    /// <summary>What a user or the agent asks for.</summary>
    private void AskFor(SimulatedKeeper keeper)
    {
        switch (_random.Next(8))
        {
            case 0: Feed(keeper, new PairEvent.TakeoverRequested()); break;
            case 1: Feed(keeper, new PairEvent.UnprotectRequested()); break;
            case 2: Feed(keeper, new PairEvent.TakeoverOverdue()); break;
            default: Protect(keeper); break;
        }
    }

    private void Protect(SimulatedKeeper keeper)
    {
        var other = Hosts.Single(h => h != keeper.State.Me.Host);
        if (keeper.State.Phase != PairPhase.Alone || keeper.Guest is null || _keepers.Any(k => k.State.Me.Host == other) || _orphans.Any(o => o.Host == other))
        {
            return;
        }
        var link = new SimulatedLink();
        var standby = Begin(PairState.ForStandby(NewMember(other)), null);
        (standby.Link, keeper.Link) = (link, link);
        Feed(standby, new PairEvent.PrimaryConnected(keeper.State.Me));
        Feed(keeper, new PairEvent.ProtectRequested(standby.State.Me));
    }

    private void Fault(SimulatedKeeper keeper)
    {
        switch (_random.Next(12))
        {
            case 0: keeper.Link?.Break(_random); break;
            case 1 or 2 or 3 when keeper.Link is not null: Feed(keeper, new PairEvent.PeerSilent(150)); break;
            case 4 or 5 when keeper.Link is not null: Feed(keeper, new PairEvent.PeerHeard()); break;
            case 6 when keeper.Guest is { } guest && !keeper.IsStandby: Feed(keeper, new PairEvent.WasLate(400, guest.Open)); break;
            case 7 when !keeper.QemuIsDead && (keeper.Guest is not null || keeper.IsStandby): KillQemu(keeper); break;
            case 8 when _random.Next(4) == 0: Kill(keeper, hostToo: true); break;
            case 9 when _random.Next(4) == 0: Kill(keeper, hostToo: false); break;
        }
    }

    private void KillQemu(SimulatedKeeper keeper)
    {
        keeper.QemuIsDead = true;
        if (keeper.Guest is { } guest)
        {
            guest.IsStopped = true;
        }
        if (keeper.State.Phase != PairPhase.Claiming)
        {
            Feed(keeper, new PairEvent.QemuExited("killed"));
        }
    }

    /// <summary>A keeper's guest outlives it unless the host goes down; a standby's QEMU that has not been loaded is nothing.</summary>
    private void Kill(SimulatedKeeper keeper, bool hostToo)
    {
        _trace.Enqueue($"{keeper.State.Me} killed in {keeper.State.Phase}{(hostToo ? " with its host" : "")}");
        keeper.Link?.Break(_random);
        foreach (var swap in keeper.UnderWay.OfType<PairEffect.SwapRole>().Where(_ => _random.Next(2) == 0))
        {
            _store.PutOff(swap.Swap); // it was sent already
        }
        _keepers.Remove(keeper);
        if (!hostToo && !keeper.QemuIsDead && keeper.Guest is { } guest && !keeper.IsStandby)
        {
            guest.Orphan();
            _orphans.Add((keeper.State.Me.Host, guest));
        }
    }

    private void AdoptOrphan()
    {
        var (host, guest) = _orphans[0];
        _orphans.RemoveAt(0);
        Begin(PairState.ForPrimary(NewMember(host), adopting: true), guest);
    }

    private SimulatedKeeper Begin(PairState state, SimulatedGuest? guest)
    {
        var keeper = new SimulatedKeeper(state) { Guest = guest };
        if (guest is not null)
        {
            guest.IsStopped = false;
        }
        _keepers.Add(keeper);
        Feed(keeper, new PairEvent.Started());
        return keeper;
    }

    private Member NewMember(HostId host) => new(host, Incarnation.Create($"{host}{++_lives}"));

    private SimulatedGuest NewGuest(IEnumerable<int> history) => new(history) { Leaves = Leaves };

    private void Promise(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"broken: {what}\n{Trace}");
        }
    }
}
