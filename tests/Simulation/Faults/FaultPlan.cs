using System.Globalization;
using Pollux.Replication.Pair;

namespace Pollux.Simulation.Faults;

/// <summary>What strikes.</summary>
internal enum FaultKind
{
    PowerOff,
    KillKeeper,
    KillQemu,
    KillAgent,
    FreezeHost,
    FreezeKeeper,
    FreezeQemu,
    Cut,
    CutOneWay,
    BreakLinks,
    BreakHeartbeats,
    SlowLink,
    BusyHost,
    CutFromStore,
    LoseQuorum,
    UnreliableStore,
    RefuseState,
    FailRehearsal,
    EndCheckpoints,
    PlannedTakeover,
    Unprotect,
    Stop,
    Migrate,
    CancelMigration,
}

/// <summary>Whom it strikes: a side by what it does at that moment, or a host by its number.</summary>
internal enum Victim
{
    Primary,
    Standby,
    AnyHost,

    /// <summary>Whoever reached the point at which the fault waits.</summary>
    Self,

    /// <summary>The other host of the pair of whoever reached that point.</summary>
    Other,
}

/// <summary>When a fault strikes.</summary>
internal abstract record Moment
{
    /// <summary>No effect of the pair's machine, but what a keeper does before it: the store takes in that it is ready.</summary>
    public const string Offer = nameof(Offer);

    public sealed record At(double Ms) : Moment;

    /// <summary>When a keeper enters a phase for the n-th time in this life, or a little later.</summary>
    /// <param name="LatestMs">When nobody has by then, it strikes all the same.</param>
    public sealed record Entering(PairPhase Phase, int Nth, double DelayMs, double LatestMs) : Moment;

    /// <summary>Before an effect is carried out for the n-th time.</summary>
    public sealed record Before(string Effect, int Nth, double LatestMs) : Moment;
}

/// <param name="ForMs">How long it lasts before it is undone.</param>
/// <param name="Amount">Between 0 and 1: how bad it is.</param>
internal sealed record Fault(int Number, FaultKind Kind, Victim Victim, Moment When, double ForMs, double Amount)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"#{Number} {Kind} of {Victim} for {ForMs:F0} ms, {When switch
    {
        Moment.At at => string.Create(CultureInfo.InvariantCulture, $"at {at.Ms:F0} ms"),
        Moment.Entering entering => string.Create(CultureInfo.InvariantCulture, $"{entering.DelayMs:F1} ms after entering {entering.Phase} no. {entering.Nth}, at {entering.LatestMs:F0} ms at the latest"),
        Moment.Before before => string.Create(CultureInfo.InvariantCulture, $"before {before.Effect} no. {before.Nth}, at {before.LatestMs:F0} ms at the latest"),
        _ => "",
    }}");
}

/// <summary>The faults of one life, from its seed alone, so that a life can be lived again without some of them.</summary>
/// <param name="Moves">Nobody wishes the VM protected until all faults are over: it moves.</param>
internal sealed record FaultPlan(IReadOnlyList<Fault> Faults, double UntilMs, bool Moves = false)
{
    private const int FaultsMax = 8;

    private static readonly FaultKind[] Kinds = [.. Enum.GetValues<FaultKind>().Where(k => k is not FaultKind.CancelMigration)];
    private static readonly PairPhase[] Phases = [.. Enum.GetValues<PairPhase>().Where(p => p != PairPhase.Gone)];

    /// <summary>What matters in a life that moves.</summary>
    private static readonly FaultKind[] MovingKinds =
    [
        .. Enum.GetValues<FaultKind>().Where(k => k is not (FaultKind.Unprotect or FaultKind.EndCheckpoints or FaultKind.PlannedTakeover or FaultKind.FailRehearsal)),
        FaultKind.Migrate, FaultKind.Migrate, FaultKind.KillKeeper, FaultKind.KillQemu, FaultKind.FreezeKeeper, FaultKind.CutFromStore,
    ];

    private static readonly PairPhase[] MovingPhases =
        [PairPhase.Moving, PairPhase.HandedOff, PairPhase.Expecting, PairPhase.Arriving, PairPhase.Landing, PairPhase.Resuming, PairPhase.Returning, PairPhase.Yielding, PairPhase.GoingSolo, PairPhase.Alone, PairPhase.Stopping];

    private static readonly string[] MovingEffects =
    [
        nameof(PairEffect.BeginMigration), nameof(PairEffect.CompleteMigration), nameof(PairEffect.EndMigration), nameof(PairEffect.TellHandOver), nameof(PairEffect.RunGuest),
        nameof(PairEffect.SwapRole), nameof(PairEffect.WatchRole), nameof(PairEffect.OpenNetwork), nameof(PairEffect.TellDismiss), nameof(PairEffect.Leave),
        Moment.Offer,
    ];
    private static readonly string[] Effects = [.. typeof(PairEffect).GetNestedTypes().Select(t => t.Name).Append(Moment.Offer).Order(StringComparer.Ordinal)];

    public static FaultPlan From(int seed)
    {
        var random = new Random(unchecked((seed * 31) + 17));
        var until = 2_000 + (random.NextDouble() * 6_000);
        var count = 1 + random.Next(FaultsMax);
        var moves = random.Next(3) == 0;
        var faults = new List<Fault>();
        if (moves)
        {
            faults.Add(new Fault(1, FaultKind.Migrate, Victim.AnyHost, new Moment.At(random.NextDouble() * 1_500), Length(random), random.NextDouble()));
        }
        for (var n = faults.Count + 1; n <= count + 1; n++)
        {
            // Half of them strike together with the one before: one fault alone is what everybody thinks of.
            faults.Add(n > 1 && random.Next(2) == 0 ? With(faults[^1], n, moves, random) : One(n, moves, random, until));
        }
        return new FaultPlan(faults, until, moves);
    }

    public FaultPlan Without(IReadOnlySet<int> numbers) => this with { Faults = [.. Faults.Where(f => !numbers.Contains(f.Number))] };

    private static Fault With(Fault other, int number, bool moves, Random random)
    {
        var later = random.Next(2) == 0 ? 0 : random.NextDouble() * 200;
        Moment when = other.When switch
        {
            Moment.At at => new Moment.At(at.Ms + later),
            Moment.Entering entering => entering with { DelayMs = entering.DelayMs + later },
            var same => same,
        };
        var victim = when is Moment.At ? (Victim)random.Next(3) : (Victim)random.Next(5);
        return new Fault(number, OneOf(moves ? MovingKinds : Kinds, random), victim, when, Length(random), random.NextDouble());
    }

    private static T OneOf<T>(T[] all, Random random) => all[random.Next(all.Length)];

    private static double Length(Random random) => 20 + (random.NextDouble() * random.Next(3) switch { 0 => 300, 1 => 2_000, _ => 6_000 });

    private static Fault One(int number, bool moves, Random random, double until)
    {
        // The first protection takes about a second; faults before that are tried, but not often.
        var latest = random.Next(8) == 0 ? random.NextDouble() * until : 1_000 + (random.NextDouble() * (until - 1_000));
        Moment when = random.Next(3) switch
        {
            0 => new Moment.At(latest),
            1 => new Moment.Entering(OneOf(moves && random.Next(4) > 0 ? MovingPhases : Phases, random), 1 + random.Next(2), random.Next(2) == 0 ? 0 : random.NextDouble() * 30, latest),
            _ => new Moment.Before(OneOf(moves && random.Next(4) > 0 ? MovingEffects : Effects, random), 1 + random.Next(random.Next(3) == 0 ? 100 : 3), latest),
        };
        var victim = when is Moment.At ? (Victim)random.Next(3) : random.Next(3) switch { 0 => Victim.Self, 1 => Victim.Other, _ => (Victim)random.Next(2) };
        return new Fault(number, OneOf(moves ? MovingKinds : Kinds, random), victim, when, Length(random), random.NextDouble());
    }
}
