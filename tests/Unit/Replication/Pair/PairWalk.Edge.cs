using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Unit.Tests.Replication.Pair;

/// <content>The keepers' edge: what their decisions do to the walk's world, and what must hold then.</content>
internal sealed partial class PairWalk
{
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
                if (keeper.QemuIsDead)
                {
                    keeper.UnderWay.Add(start); // only now it is seen that there is nothing to adopt
                    break;
                }
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
        Promise(!keeper.QemuIsDead, "a guest that goes on lives");
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
}
