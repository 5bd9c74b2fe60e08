using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <summary>
/// A pair's life as a random walk from a seed: two hosts, one role key, a link that breaks, answers that are lost or come late, and every
/// fault at every moment. It fails when a promise of the pair does: a frame that left is in the history of everyone who speaks afterwards,
/// two never run, an acknowledgement is never exceeded.
/// </summary>
internal sealed class PairWalk
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

    private void Feed(SimulatedKeeper keeper, PairEvent e)
    {
        var before = keeper.State;
        var (after, effects) = PairMachine.Step(before, e);
        keeper.State = after;
        _trace.Enqueue($"{before.Me} {before.Phase} --{e}--> {after.Phase} [{string.Join(", ", effects)}]");
        if (_trace.Count > 60)
        {
            _trace.Dequeue();
        }
        foreach (var effect in effects)
        {
            Do(keeper, before.Phase, effect);
        }
    }

    private void Do(SimulatedKeeper keeper, PairPhase before, PairEffect effect)
    {
        var link = keeper.Link;
        switch (effect)
        {
            case PairEffect.ReadRole or PairEffect.SwapRole or PairEffect.Rehearse or PairEffect.Load: keeper.UnderWay.Add(effect); break;
            case PairEffect.WatchRole: keeper.Watches = true; break;
            case PairEffect.StartGuest start:
                Promise(!start.Adopt || keeper.Guest is not null, "an adopter has a guest");
                keeper.Guest ??= NewGuest([]);
                GoOnAlone(keeper);
                break;
            case PairEffect.BeginCheckpointing: (keeper.IsCheckpointing, keeper.FirstIsCut) = (true, false); break;
            case PairEffect.HoldEgress: keeper.Guest!.Hold(new Epoch(1)); break;
            case PairEffect.ResumeFromCut: keeper.Guest!.IsStopped = false; break;
            case PairEffect.CloseGate: keeper.GateIsClosed = true; break;
            case PairEffect.OpenGate: keeper.GateIsClosed = false; break;
            case PairEffect.CutFinal: keeper.FinalWanted = true; break;
            case PairEffect.EndCheckpointing end: EndCheckpointing(keeper, end.Why); break;
            case PairEffect.Release release:
                Promise(link is not null && release.UpTo <= link.Acknowledged, $"{release} was acknowledged ({link?.Acknowledged})");
                keeper.Guest!.Release(release.UpTo);
                break;
            case PairEffect.ReleaseAll: GoOnAlone(keeper); break;
            case PairEffect.OpenNetwork:
                Takeovers++;
                link?.Close();
                keeper.Link = null;
                GoOnAlone(keeper);
                break;
            case PairEffect.Acknowledge acknowledge:
                Promise(keeper.State.Phase is PairPhase.Ready or PairPhase.Standing or PairPhase.Deciding, "a sealed standby is silent");
                Promise(keeper.Whole.ContainsKey(acknowledge.UpTo), "what is acknowledged is here");
                Send(link, toStandby: false, new PairEvent.Acknowledged(acknowledge.UpTo));
                break;
            case PairEffect.TellProtected: Send(link, true, new PairEvent.ProtectionTold()); break;
            case PairEffect.TellPrimaryDown down: Send(link, true, new PairEvent.PrimaryDown(down.Why)); break;
            case PairEffect.TellTakeNow: Send(link, true, new PairEvent.TakeNow()); break;
            case PairEffect.TellDismiss dismiss: Send(link, before < PairPhase.Waiting, new PairEvent.Dismissed(dismiss.Why)); break;
            case PairEffect.StopGuest: break;
            case PairEffect.Leave: link?.Close(); break;
            default: throw new InvalidOperationException($"no such effect: {effect}");
        }
    }

    private static void Send(SimulatedLink? link, bool toStandby, object message)
    {
        if (link is null || link.IsBroken)
        {
            return;
        }
        (toStandby ? link.ToStandby : link.ToPrimary).Enqueue(message);
        if (message is PairEvent.Acknowledged acknowledged)
        {
            link.Acknowledged = acknowledged.Epoch;
        }
    }

    private static void EndCheckpointing(SimulatedKeeper keeper, string why)
    {
        Send(keeper.Link, true, new PairEvent.Dismissed(why));
        keeper.Link?.Close();
        (keeper.Link, keeper.IsCheckpointing, keeper.FinalWanted, keeper.Guest!.IsStopped) = (null, false, false, false);
    }

    /// <summary>A guest whose frames pass must be the only one, named by the role, and know all that the world was told.</summary>
    private void GoOnAlone(SimulatedKeeper keeper)
    {
        var guest = keeper.Guest!;
        Promise(_store.Role is { State: RoleState.Running } role && role.Primary == keeper.State.Me, $"the role says running on {keeper.State.Me}, not {_store.Role}");
        Promise(_keepers.All(k => k == keeper || k.IsGone || k.Guest is not { Passes: true }), "no two run");
        Promise(_seenOutside.Count <= guest.History.Count && (_seenOutside.Count == 0 || _seenOutside[^1] == guest.History[_seenOutside.Count - 1]),
            $"{keeper.State.Me} goes on with all that left");
        guest.Pass();
    }

    /// <summary>Marks are unique, so equal marks at one place mean equal histories up to it.</summary>
    private void Leaves(SimulatedGuest guest, int length)
    {
        var common = Math.Min(length, _seenOutside.Count);
        Promise(common == 0 || guest.History[common - 1] == _seenOutside[common - 1], "a frame agrees with all that left before");
        _seenOutside.AddRange(guest.History.Take(length).Skip(_seenOutside.Count));
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
        var fails = !_calm && _random.Next(5) == 0;
        switch (effect)
        {
            case PairEffect.ReadRole: Feed(keeper, fails ? new PairEvent.ReadFailed("no answer") : ReadRole()); break;
            case PairEffect.SwapRole swap: Feed(keeper, AnswerSwap(swap.Swap, fails)); break;
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
            case 7 when _random.Next(4) == 0 && (keeper.Guest is not null || keeper.IsStandby): Feed(keeper, new PairEvent.QemuExited("killed")); break;
            case 8 when _random.Next(4) == 0: Kill(keeper, hostToo: true); break;
            case 9 when _random.Next(4) == 0: Kill(keeper, hostToo: false); break;
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
        if (!hostToo && keeper.Guest is { } guest && !keeper.IsStandby)
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
