using Pollux.Cluster.Store;
using Pollux.Replication.Pair;

namespace Pollux.Simulation.Keepers;

/// <content>The way out.</content>
internal sealed partial class SimulatedKeeper
{
    private void CloseStandby()
    {
        Standby?.Dispose();
        Standby = null;
    }

    private void Leave(string why)
    {
        _isLeaving = true;
        if (_orphan is { Moves: true } && State.Role is { State: RoleState.Running } role && role.Primary.Host != Me.Host)
        {
            // It handed its guest over, and who has won it may give it back: the agent keeps it until that is decided.
            _roles.Dispose();
            Process.Soon(() =>
            {
                Process.Host.LastWords = why;
                Process.Kill();
            });
            return;
        }
        Egress?.Close();
        Passes = false;
        Qemu?.Process.Kill();
        _orphan?.Process.Kill();
        _roles.Dispose();
        var left = false;
        void Left()
        {
            if (!left)
            {
                left = true;
                CloseStandby();
                CloseMove();
                SayGoodbye(why, () => End(why));
            }
        }
        if (_session is { } session)
        {
            session.End(why, Left);
        }
        else
        {
            Process.Soon(Left);
        }
        Process.After(1_000, Left);
    }

    private void SayGoodbye(string why, Action then)
    {
        if (Start is not (Cluster.Keepers.KeeperStart.Standby or Cluster.Keepers.KeeperStart.Destination))
        {
            then();
        }
        else if (_isStopWanted || _hasTakenOver || _hasMoved)
        {
            ForgetEndpoint(then);
        }
        else
        {
            TellEndpoint(StandbyState.Failed, why, then, _ => then());
        }
    }

    private void ForgetEndpoint(Action? then = null) => _world.Calls.Ask(
        Process,
        () =>
        {
            _world.Store.DeleteEndpoint(Me.Host);
            return true;
        },
        _ => then?.Invoke(), _ => then?.Invoke());

    /// <summary>The process ends; its lock is free.</summary>
    private void End(string why)
    {
        var host = Process.Host;
        host.Record?.Process.Kill();
        (host.Record, host.LastWords) = (null, why);
        Process.Kill();
    }
}
