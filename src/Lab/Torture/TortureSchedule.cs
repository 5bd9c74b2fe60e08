using Pollux.Cluster.Keepers;
using Pollux.Replication.Pair;

namespace Pollux.Lab.Torture;

/// <summary>
/// What a torture does, from its seed alone: every kind of round once, in an order and with delays that the seed gives, then all of them
/// again in another. Each kind is a single fault, or one that strikes while the pair handles another and leaves one copy of the guest
/// alive: a pair must survive it without losing a byte.
/// </summary>
public static class TortureSchedule
{
    /// <summary>Shorter and longer than the detection time, than half of it, and than the host's lease.</summary>
    private static readonly int[] FreezesMs = [30, 90, 160, 400, 1500, 7000];

    private static readonly Strike[] Fatal = [Strike.PowerOff, Strike.KillQemu, Strike.KillKeeper, Strike.Freeze];
    private static readonly Strike[] Wire = [Strike.CutOneWay, Strike.LossyLink, Strike.SlowLink];
    private static readonly Strike[] Mild = [Strike.Freeze, Strike.KillAgent];

    /// <summary>The kinds of rounds, without numbers and times.</summary>
    public static IReadOnlyList<TortureRound> Kinds { get; } =
    [
        .. Of(TorturePath.Steady, PairSide.Primary, [.. Fatal, Strike.KillAgent, Strike.CutLink, Strike.BreakChannel, Strike.KillEtcd]),
        .. Of(TorturePath.Steady, PairSide.Standby, [.. Fatal, Strike.KillAgent, Strike.KillEtcd]),
        .. Of(TorturePath.Steady, PairSide.Primary, Wire),
        .. Of(TorturePath.Steady, PairSide.Standby, [Strike.CutOneWay]),
        .. Of(TorturePath.PlannedTakeover, PairSide.Primary, [Strike.None]),

        .. Of(TorturePath.Steady, PairSide.Primary, Fatal,
            FaultPoints.Cut, FaultPoints.Shipped, FaultPoints.Resumed, FaultPoints.Acknowledgement, Does<PairEffect.Release>()),
        .. Of(TorturePath.Steady, PairSide.Primary, [Strike.CutLink, Strike.CutOneWay], FaultPoints.Cut, FaultPoints.Shipped, FaultPoints.Acknowledgement, Does<PairEffect.Release>()),
        .. Of(TorturePath.Steady, PairSide.Primary, [Strike.BreakChannel], FaultPoints.Shipped, FaultPoints.Resumed),
        .. Of(TorturePath.Steady, PairSide.Primary, [Strike.DropAnswer], FaultPoints.Acknowledgement),
        .. Of(TorturePath.Steady, PairSide.Standby, Fatal,
            Hears<PairEvent.EpochWhole>(), Does<PairEffect.Acknowledge>(), FaultPoints.Acknowledged),
        .. Of(TorturePath.Steady, PairSide.Standby, [Strike.CutLink, Strike.CutOneWay], Hears<PairEvent.EpochWhole>(), Does<PairEffect.Acknowledge>(), FaultPoints.Acknowledged),

        .. Of(TorturePath.PlannedTakeover, PairSide.Primary, Fatal,
            Does<PairEffect.CutFinal>(), Hears<PairEvent.FinalCut>(), Does<PairEffect.TellTakeNow>(), Does<PairEffect.WatchRole>()),
        .. Of(TorturePath.PlannedTakeover, PairSide.Standby, Fatal,
            Hears<PairEvent.TakeNow>(), Swaps(RoleState.Taking), Does<PairEffect.Load>(), FaultPoints.Loading, FaultPoints.Loaded, Swaps(RoleState.Running)),
        .. Of(TorturePath.PlannedTakeover, PairSide.Primary, [Strike.CutLink, .. Wire], Does<PairEffect.CutFinal>(), Does<PairEffect.TellTakeNow>(), Does<PairEffect.WatchRole>()),
        .. Of(TorturePath.PlannedTakeover, PairSide.Standby, [Strike.CutLink, Strike.CutOneWay], Hears<PairEvent.TakeNow>(), Swaps(RoleState.Taking), FaultPoints.Loaded, Swaps(RoleState.Running)),
        .. Of(TorturePath.PlannedTakeover, PairSide.Standby, [Strike.KillEtcd], Swaps(RoleState.Taking), Swaps(RoleState.Running)),
        .. Of(TorturePath.PlannedTakeover, PairSide.Standby, [Strike.DropAnswer],
            FaultPoints.SwapAnswer(nameof(RoleState.Taking)), FaultPoints.SwapAnswer(nameof(RoleState.Running))),

        .. Of(TorturePath.PeerFrozen, PairSide.Standby, [Strike.KillKeeper, Strike.KillQemu, .. Mild],
            Hears<PairEvent.PeerSilent>(), Does<PairEffect.ReadRole>(), Swaps(RoleState.Taking), Does<PairEffect.Load>(), FaultPoints.Loading, FaultPoints.Loaded),
        .. Of(TorturePath.PeerFrozen, PairSide.Standby, [Strike.DropAnswer],
            FaultPoints.ReadAnswer, FaultPoints.SwapAnswer(nameof(RoleState.Taking)), FaultPoints.SwapAnswer(nameof(RoleState.Running))),
        .. Of(TorturePath.PeerFrozen, PairSide.Standby, Mild, Swaps(RoleState.Running), Does<PairEffect.OpenNetwork>()),
        .. Of(TorturePath.PeerFrozen, PairSide.Primary, [Strike.KillKeeper, .. Mild], Swaps(RoleState.Running), Does<PairEffect.ReleaseAll>()),
        .. Of(TorturePath.PeerFrozen, PairSide.Primary, [Strike.DropAnswer], FaultPoints.SwapAnswer(nameof(RoleState.Running))),

        .. Of(TorturePath.PeerOff, PairSide.Standby, Mild, Swaps(RoleState.Taking), Does<PairEffect.Load>(), FaultPoints.Loaded, Swaps(RoleState.Running)),
        .. Of(TorturePath.PeerOff, PairSide.Standby, [Strike.KillEtcd], Swaps(RoleState.Taking), Swaps(RoleState.Running)),
        .. Of(TorturePath.PeerOff, PairSide.Standby, [Strike.DropAnswer], FaultPoints.SwapAnswer(nameof(RoleState.Taking)), FaultPoints.SwapAnswer(nameof(RoleState.Running))),
        .. Of(TorturePath.PeerOff, PairSide.Primary, [Strike.KillKeeper, .. Mild], Swaps(RoleState.Running)),

        .. Of(TorturePath.Protecting, PairSide.Primary, [Strike.KillKeeper, Strike.Freeze],
            Hears<PairEvent.FirstCut>(), Swaps(RoleState.Protected), Does<PairEffect.TellProtected>()),
        .. Of(TorturePath.Protecting, PairSide.Primary, [Strike.DropAnswer], FaultPoints.SwapAnswer(nameof(RoleState.Protected))),
        .. Of(TorturePath.Protecting, PairSide.Primary, Wire, Hears<PairEvent.FirstCut>(), Swaps(RoleState.Protected)),
        .. Of(TorturePath.Protecting, PairSide.Standby, Fatal, Does<PairEffect.Rehearse>(), Does<PairEffect.Acknowledge>(), Hears<PairEvent.ProtectionTold>()),
    ];

    /// <param name="only">Keeps the kinds whose description contains this; null: all.</param>
    public static IReadOnlyList<TortureRound> Of(ulong seed, int rounds, string? only = null)
    {
        var kinds = Kinds.Where(k => only is null || k.ToString().Contains(only, StringComparison.OrdinalIgnoreCase)).ToArray();
        var random = new Random(unchecked((int)(seed ^ (seed >> 32))));
        var schedule = new List<TortureRound>(rounds);
        while (kinds.Length > 0 && schedule.Count < rounds)
        {
            random.Shuffle(kinds);
            foreach (var kind in kinds.Take(rounds - schedule.Count))
            {
                schedule.Add(kind with
                {
                    Number = schedule.Count + 1,
                    After = random.Next(300),
                    FrozenMs = kind.Path == TorturePath.PeerFrozen ? random.Next(400, 2500) : FreezesMs[random.Next(FreezesMs.Length)],
                });
            }
        }
        return schedule;
    }

    /// <summary>As <see cref="Of(ulong, int, string?)"/>, but only as much as it takes for each fault to strike so often.</summary>
    public static IReadOnlyList<TortureRound> OfEach(ulong seed, int times)
    {
        var struck = new Dictionary<Strike, int>();
        var schedule = new List<TortureRound>();
        foreach (var round in Of(seed, Kinds.Count * times))
        {
            if (struck.GetValueOrDefault(round.Strike) is var before && before < times)
            {
                struck[round.Strike] = before + 1;
                schedule.Add(round);
            }
        }
        return schedule;
    }

    private static IEnumerable<TortureRound> Of(TorturePath path, PairSide side, Strike[] strikes, params string[] points) =>
        points.DefaultIfEmpty<string?>(null).SelectMany(point => strikes.Select(strike => new TortureRound(0, path, side, strike, point, 0, 0)));

    private static string Hears<T>() where T : PairEvent => $"Hears.{typeof(T).Name}";

    private static string Does<T>() where T : PairEffect => $"Does.{typeof(T).Name}";

    private static string Swaps(RoleState state) => $"{Does<PairEffect.SwapRole>()}.{state}";
}
