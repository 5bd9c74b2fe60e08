using System.Globalization;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Faults;
using Pollux.Simulation.Judgement;

namespace Pollux.Simulation;

/// <summary>How a life ended.</summary>
/// <param name="Broken">The promise that did not hold; null when all did.</param>
internal sealed record Outcome(int Seed, Promise? Broken, string What, Coverage Coverage, long FramesOutside, double VirtualMs, long Steps);

/// <summary>
/// One VM's life from a seed: it starts, is protected, the plan's faults strike; then everything is healed, and it must come to rest protected.
/// </summary>
internal static class Life
{
    /// <summary>The agents' longest back-off is 30 s, and a standby that fails may be tried some times.</summary>
    private const double RestWithinMs = 180_000;
    private const double LookEveryMs = 50;
    private const int FramesAtRest = 10;
    private const long StepsMax = 20_000_000;

    public static Outcome Live(int seed, FaultPlan? plan = null, Trace? trace = null)
    {
        plan ??= FaultPlan.From(seed);
        using var world = new World(seed, plan, trace);
        Promise? broken = null;
        var what = "";
        try
        {
            Run(world, plan);
        }
        catch (BrokenPromiseException e)
        {
            (broken, what) = (e.Promise, e.Message);
        }
        return new Outcome(seed, broken, what, world.Coverage, world.Checker.FramesOutside, world.Time.NowMs, world.Time.Steps);
    }

    private static void Run(World world, FaultPlan plan)
    {
        StepUntil(world, plan.UntilMs);
        world.Trace?.Say("all faults are healed");
        world.Faults.HealAll();
        var deadline = world.Time.NowMs + RestWithinMs;
        while (true)
        {
            StepUntil(world, world.Time.NowMs + LookEveryMs);
            if (IsAtRest(world))
            {
                var frames = world.Checker.FramesOutside;
                StepUntil(world, world.Time.NowMs + (40 * world.Settings.GuestStepMs));
                if (IsAtRest(world) && world.Checker.FramesOutside >= frames + FramesAtRest)
                {
                    return;
                }
            }
            world.Checker.Promise(world.Time.NowMs < deadline, Promise.ComesToRest, string.Create(
                CultureInfo.InvariantCulture, $"not protected {RestWithinMs / 1000:F0} s after all faults were healed: {Where(world)}"));
        }
    }

    private static void StepUntil(World world, double ms)
    {
        while (world.Time.NextMs <= ms && world.Time.Step())
        {
            if (world.Time.Steps > StepsMax)
            {
                throw new BrokenPromiseException(Promise.ComesToRest, $"{StepsMax} steps are no end: {Where(world)}");
            }
        }
        world.Time.SkipTo(ms);
    }

    private static bool IsAtRest(World world) =>
        world.Store.Role is { State: RoleState.Protected, Standby: { } standby } role
        && world.Keepers[role.Primary.Incarnation] is { Process.IsAlive: true, State.Phase: PairPhase.Protected, Qemu.IsAlive: true }
        && world.Keepers[standby.Incarnation] is { Process.IsAlive: true, State.Phase: PairPhase.Standing };

    private static string Where(World world)
    {
        var role = world.Store.Role;
        var keepers = world.LivingKeepers.Select(k => $"{k.Me} {k.State.Phase} ({k.State.Reason})");
        var agents = world.Hosts.Select(h => $"{h.Id}'s agent: {h.Agent?.Memory.Note}");
        return $"role {role?.State} on {role?.Primary} with {role?.Standby}; {string.Join("; ", keepers)}; {string.Join("; ", agents)}";
    }
}
