using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Linux.Processes;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <summary>The moments at which a test may hold or kill this keeper, or lose an answer (<see cref="FaultPoints"/>). On a real host there are none.</summary>
internal static class FaultPoint
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(1);
    private static string? _directory;
    private static VmName _vm;

    public static void Use(string? directory, VmName vm) => (_directory, _vm) = (directory, vm);

    /// <summary>The step that follows shall not be carried out when this is false.</summary>
    public static bool Pass(string point) => _directory is null || PassIn(_directory, point);

    public static bool Pass(PairEvent e) => _directory is null || PassIn(_directory, $"Hears.{e.GetType().Name}");

    public static bool Pass(PairEffect effect) => _directory is null || PassIn(_directory, effect is PairEffect.SwapRole swap
        ? $"Does.{nameof(PairEffect.SwapRole)}.{swap.Swap.Next.State}"
        : $"Does.{effect.GetType().Name}");

    public static bool PassSwapAnswer(RoleState state) => _directory is null || PassIn(_directory, FaultPoints.SwapAnswer(state.ToString()));

    private static bool PassIn(string directory, string point)
    {
        var (armed, reached) = (FaultPoints.FileOf(directory, _vm, point), FaultPoints.ReachedFileOf(directory, _vm, point));
        if (!File.Exists(armed))
        {
            return true;
        }
        FaultPointAction action;
        try
        {
            File.Move(armed, reached);
            action = Enum.Parse<FaultPointAction>(File.ReadAllText(reached));
        }
        catch (IOException)
        {
            return true; // Another thread was first, or the test gave it up.
        }
        KeeperLog.Say($"fault point {point}: {action}");
        if (action == FaultPointAction.Kill)
        {
            ProcessTable.TrySignal(Environment.ProcessId, ProcessTable.Kill);
        }
        while (action != FaultPointAction.Drop && File.Exists(reached))
        {
            Thread.Sleep(LookEvery);
        }
        return action != FaultPointAction.Drop;
    }
}
