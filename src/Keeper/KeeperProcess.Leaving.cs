using Pollux.Cluster.Keepers;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Linux.Cgroups;
using Pollux.Qemu.Process;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <content>The way out: nothing of this side is left, and who must know is told.</content>
internal sealed partial class KeeperProcess
{
    private async Task CloseStandbyAsync()
    {
        if (Interlocked.Exchange(ref _standby, null) is { } standby)
        {
            await standby.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Whatever fails on the way out, the process ends and gives the VM's directory free.</summary>
    private async Task LeaveAsync(string why)
    {
        KeeperLog.Say($"leaves: {why}");
        try
        {
            await CleanUpAsync(why).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            KeeperLog.Say($"something is left behind, the agent will remove it: {e.Message}");
        }
        finally
        {
            _left.TrySetResult(why);
        }
    }

    private async Task CleanUpAsync(string why)
    {
        if (IsLeftToTheAgent())
        {
            await _leaving.CancelAsync().ConfigureAwait(false);
            _roles.Dispose();
            return;
        }
        _guest?.Egress.Close();
        // First of all: this guest is nobody any more.
        _guest?.Process.Kill();
        _orphan?.Kill();
        var ended = _session?.EndAsync(why) ?? _sessionEnded;
        await Task.WhenAny(ended, Task.Delay(TimeSpan.FromSeconds(1))).ConfigureAwait(false);
        await _leaving.CancelAsync().ConfigureAwait(false);
        _roles.Dispose();
        // A QEMU that is being started is nobody's yet: who starts it sees that it is not wanted any more, and kills it.
        await _beginning.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _guest?.Process.Kill();
        await CloseStandbyAsync().ConfigureAwait(false);
        await CloseMoveAsync().ConfigureAwait(false);
        if (_guest is not null)
        {
            await _guest.DisposeAsync().ConfigureAwait(false);
        }
        await ClearAsync(_machine.Directory, _machine.Config).ConfigureAwait(false);
        if (_machine.Config.Start is KeeperStart.Standby or KeeperStart.Destination)
        {
            await SayGoodbyeAsync(why).ConfigureAwait(false);
        }
    }

    /// <summary>The QEMU to adopt has handed its guest over, and who has won it may give it back: until that is decided, the agent keeps it.</summary>
    private bool IsLeftToTheAgent() => _orphan is not null && _loop.State.Role is { State: RoleState.Running } role && role.Primary.Host != _me.Host
        && _machine.Directory.ReadRecord() is { Moves: true };

    /// <summary>A standby that failed says why; one that was sent away, or took over and stopped, leaves no trace.</summary>
    private async Task SayGoodbyeAsync(string why)
    {
        if (_stopWanted || _takeover.Last is not null || _lastMove is not null || _hasListenedForMove)
        {
            await ForgetEndpointAsync().ConfigureAwait(false);
            return;
        }
        try
        {
            await TellEndpointAsync(StandbyState.Failed, 0, why).ConfigureAwait(false);
        }
        catch (PolluxException e)
        {
            KeeperLog.Say($"the endpoint cannot be written: {e.Message}");
        }
    }

    private async Task ForgetEndpointAsync()
    {
        try
        {
            await _store.DeleteAsync(StoreKeys.Endpoint(_machine.Spec.Name, _me.Host), CancellationToken.None).ConfigureAwait(false);
        }
        catch (PolluxException e)
        {
            KeeperLog.Say($"the endpoint stays in the store until this host's lease ends: {e.Message}");
        }
    }

    /// <summary>The cgroup too: it holds the rehearsal's QEMU, which no record names.</summary>
    private static async Task ClearAsync(VmDirectory directory, KeeperConfig config)
    {
        if (config.Cgroup is { } path && new ControlGroup(path) is { Exists: true } group)
        {
            group.Kill();
        }
        await directory.ClearAsync().ConfigureAwait(false);
    }
}
