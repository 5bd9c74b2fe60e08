using Pollux.Agent.Reconciling;
using Pollux.Core;
using Pollux.Replication.Pair;
using Pollux.Simulation.Keepers;

namespace Pollux.Simulation.Agents;

/// <summary>
/// Mirrors VmService.MigrateAsync: a user asks one agent to move the VM; it lets the destination's agent start a keeper that waits, and tells the source's
/// keeper. Whether that has heard it is not always known; the destination is sent away then.
/// </summary>
internal sealed class SimulatedMoveOrder(World world, SimulatedAgent api, HostId to)
{
    private const double AskWithinMs = 45_000;
    private const double AgainAfterMs = 100;
    private bool _isAnswered;

    /// <param name="untilMs">As long as it is refused, the user tries again until then, in the world's ms.</param>
    public void Begin(double untilMs) => api.Process.Soon(() => world.Calls.Ask(api.Process, world.Store.View, view =>
    {
        if (Refusal(view) is not { } why)
        {
            Prepare(view.Role!.Primary.Host);
            return;
        }
        world.Trace?.SayRoutine($"the VM is not moved to {to}: {why}");
        if (world.Time.NowMs < untilMs)
        {
            api.Process.After(AgainAfterMs, () => Begin(untilMs));
        }
    }, _ => { }));

    private string? Refusal(VmView view) => view.Role switch
    {
        { State: RoleState.Running } when !view.ShallRun || view.Record!.Protect => "it is protected, or shall not run",
        { State: RoleState.Running } role when role.Primary.Host == to => "it runs there already",
        { State: RoleState.Running } role => world.Host(role.Primary.Host).Keeper?.Status()?.Phase is "running" ? null : "it does not run yet",
        _ => "the role does not say running",
    };

    private void Prepare(HostId source)
    {
        world.Trace?.Say($"the user asks to move it from {source} to {to}");
        if (world.Host(to).Agent is not { Process.IsAlive: true } there || !Reaches(to))
        {
            return;
        }
        there.Process.Soon(() => there.Receive(target => api.Process.Soon(() => Ask(source, target)), why => world.Trace?.Say($"{to} cannot take it in: {why}")));
    }

    private void Ask(HostId source, Member target)
    {
        if (!Reaches(source) || world.Host(source).Keeper is not { Process.IsAlive: true } keeper)
        {
            SendAway();
            return;
        }
        keeper.Process.Soon(() =>
        {
            var refusal = keeper.Migrate(target);
            world.Trace?.Say($"{keeper.Me} is asked to move it to {target}: {refusal ?? "yes"}");
            // The connection may end before the answer is through.
            var isLost = world.Random.Next(8) == 0;
            api.Process.After(isLost ? world.Random.NextDouble() * 300 : 1, () => Answer(refusal is null && !isLost));
        });
        api.Process.After(AskWithinMs, () => Answer(false));
    }

    private void Answer(bool isAccepted)
    {
        if (!_isAnswered)
        {
            _isAnswered = true;
            if (!isAccepted)
            {
                SendAway();
            }
        }
    }

    private void SendAway()
    {
        if (Reaches(to) && world.Host(to).Keeper is { Process.IsAlive: true } keeper)
        {
            world.Trace?.Say($"{keeper.Me} is sent away");
            keeper.Process.Soon(keeper.SendAway);
        }
    }

    private bool Reaches(HostId host) => host == api.Host.Id || world.Network.PassesBothWays(api.Host, world.Host(host));
}
