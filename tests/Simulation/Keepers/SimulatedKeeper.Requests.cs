using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Simulation.Keepers;

/// <content>What the agent asks over the control socket, as KeeperProcess answers it.</content>
internal sealed partial class SimulatedKeeper
{
    private static readonly ProtectionSettings NoSettings = new();

    /// <summary>Null: nothing listens yet, or it does not answer.</summary>
    public KeeperStatus? Status() => !_isUp || Process.IsFrozen ? null : new KeeperStatus(
        _world.Vm, Me.Host, Me.Incarnation, 1, Qemu is { IsAlive: true } ? 2 : null, State.IsDestination ? "destination" : State.IsStandby ? "standby" : "primary", PhaseName(), State.Reason, State.Role,
        "7.2", "tcg", new CheckpointStatus(0, 0, 0, new(0, 0, 0), new(0, 0, 0)), new BufferStatus(0, 0, 0, 0), new NetworkStatus(0, 0, 0, 0, 0), null, NoSettings);

    /// <summary>Why not, or null.</summary>
    public string? Protect(Member standby)
    {
        if (State.Peer?.Incarnation == standby.Incarnation && !State.IsStandby)
        {
            return null;
        }
        if (_isUndoing || Qemu is { ArrivedFrom: not null })
        {
            Process.After(PollMs, () => Protect(standby));
            return null;
        }
        if (State.Phase != PairPhase.Alone || !HasGuest)
        {
            return $"it cannot be given a standby while it is {PhaseName()}";
        }
        Post(new PairEvent.ProtectRequested(standby));
        return null;
    }

    private const double TakeChargeWithinMs = 5_000;
    private const double TakeChargeLookMs = 20;

    public void Unprotect()
    {
        if (State.Phase != PairPhase.Alone && !State.IsStandby)
        {
            Post(new PairEvent.UnprotectRequested());
        }
    }

    public void TakeOver()
    {
        if (State.Phase == PairPhase.Protected)
        {
            Post(new PairEvent.TakeoverRequested());
        }
    }

    /// <summary>Asks the guest to power down, or kills it. One that takes charge of its guest waits for that a little, then refuses.</summary>
    public void Stop(bool force, double waitedMs = 0)
    {
        if (!force && !HasGuest && Start == KeeperStart.Adopt && State.Phase is PairPhase.Claiming or PairPhase.Alone)
        {
            if (waitedMs < TakeChargeWithinMs)
            {
                Process.After(TakeChargeLookMs, () => Stop(force, waitedMs + TakeChargeLookMs));
            }
            return;
        }
        if (force || State.IsStandby || !HasGuest)
        {
            StopNow();
            return;
        }
        Qemu!.Process.After(200 + (_world.Random.NextDouble() * 1_000), () => Process.Soon(StopNow));
    }

    /// <summary>Set after the guest was started or attached: from then on it may be protected.</summary>
    private bool HasGuest => Qemu is not null && Egress is not null;

    private void StopNow()
    {
        _isStopWanted = true;
        Post(new PairEvent.StopRequested());
    }

    private string PhaseName() => State.Phase switch
    {
        PairPhase.Claiming => "starting",
        PairPhase.Alone => HasGuest ? "running" : "starting",
        PairPhase.Syncing or PairPhase.Protecting => "syncing",
        PairPhase.Protected => "protected",
        PairPhase.Moving or PairPhase.HandedOff or PairPhase.Yielding => "moving",
        PairPhase.Expecting or PairPhase.Arriving or PairPhase.Landing or PairPhase.Resuming or PairPhase.Returning => "arriving",
        PairPhase.Verifying or PairPhase.HandingOver or PairPhase.GoingSolo or PairPhase.Frozen => "holding",
        PairPhase.Waiting => Standby is null ? "standby-preparing" : "standby-waiting",
        PairPhase.Receiving or PairPhase.Ready => "standby-syncing",
        PairPhase.Standing => "standby-ready",
        PairPhase.Deciding or PairPhase.Taking or PairPhase.Loading or PairPhase.Confirming or PairPhase.SwappingBack => "taking",
        _ => "stopping",
    };
}
