using System.Net.Sockets;
using Pollux.Cluster.Keepers;
using Pollux.Cluster.Security;
using Pollux.Cluster.Store;
using Pollux.Core;
using Pollux.Keeper.Events;
using Pollux.Keeper.Guests;
using Pollux.Keeper.Primary;
using Pollux.Linux.Memory;
using Pollux.Migration.Streaming;
using Pollux.Qemu.Checkpointing;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;
using Pollux.Replication.Pair;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <summary>
/// One keeper: puts the parts together and carries out what the pair's machine decides (<see cref="Do"/>, on the loop's thread). What
/// takes longer than a system call runs beside it and reports its outcome as an event.
/// </summary>
internal sealed partial class KeeperProcess : IPairEdge
{
    private static readonly TimeSpan TakeoverPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LastWordsWithin = TimeSpan.FromMilliseconds(500);
    private static readonly Epoch FirstHeldEpoch = new(1);

    private readonly Machine _machine;
    private readonly Member _me;
    private readonly EtcdStore _store;
    private readonly PeerTls _tls;
    private readonly PairLoop _loop;
    private readonly RoleKeeper _roles;
    private readonly TakeoverTimes _takeover = new();
    private readonly ScrubAlarms _scrubAlarms = new();
    private readonly CancellationTokenSource _leaving = new();
    private readonly TaskCompletionSource<string> _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Tuning _tuning;
    private QemuProcess? _orphan;
    private volatile Guest? _guest;
    private volatile ProtectionSession? _session;
    private StandbyTarget? _target;
    private Task _sessionEnded = Task.CompletedTask;
    private volatile Task _beginning = Task.CompletedTask;
    private int _overdueAsked;
    private volatile bool _stopWanted;
    private volatile bool _powerDownAsked;
    private volatile bool _guestShutDown;

    private KeeperProcess(Machine machine, QemuProcess? orphan, EtcdStore store, PeerTls tls)
    {
        (_machine, _orphan, _store, _tls) = (machine, orphan, store, tls);
        _me = new Member(machine.Config.Host, machine.Incarnation);
        _tuning = Tuning.Of(machine.Spec.FaultTolerance).With(machine.Config.Settings ?? new ProtectionSettings());
        var initial = machine.Config.Start switch
        {
            KeeperStart.Standby => PairState.ForStandby(_me),
            KeeperStart.Destination => PairState.ForDestination(_me),
            var start => PairState.ForPrimary(_me, adopting: start == KeeperStart.Adopt),
        };
        _events = new KeeperEvents(machine.Config);
        _console = new GuestConsole(machine.Directory.Path);
        _loop = new PairLoop(initial, this);
        _roles = new RoleKeeper(store, machine.Spec.Name, machine.Config.Host, e => _loop.Post(e));
    }

    /// <summary>Keeps the VM until this side has nothing left to do; returns why it left.</summary>
    /// <exception cref="PolluxException">It could not begin.</exception>
    public static async Task<string> RunAsync(KeeperConfig config, CancellationToken cancellation)
    {
        using var directory = VmDirectory.Take(config.RunDirectory);
        FaultPoint.Use(config.FaultPoints, config.Vm);
        if (!MemoryLocking.TryLockAll())
        {
            KeeperLog.Say("memory cannot be locked: a takeover may wait for a disk");
        }
        var machine = await Machine.PlanAsync(config, directory, Incarnation.New(), cancellation).ConfigureAwait(false);
        var orphan = config.Start == KeeperStart.Adopt ? directory.FindOrphan() : null;
        if (orphan is null)
        {
            await ClearAsync(directory, config).ConfigureAwait(false);
        }
        using var tls = PeerTls.Open(config.Tls);
        var store = new EtcdStore(new EtcdOptions(config.EtcdEndpoints, config.Tls));
        await using (store.ConfigureAwait(false))
        {
            await store.StartWarmingAsync(cancellation).ConfigureAwait(false);
            var keeper = new KeeperProcess(machine, orphan, store, tls);
            return await keeper.RunAsync(cancellation).ConfigureAwait(false);
        }
    }

    private async Task<string> RunAsync(CancellationToken cancellation)
    {
        KeeperLog.Say($"{_me} keeps {_machine.Spec.Name} as {_machine.Config.Start} with QEMU {_machine.Qemu}");
        var server = KeeperServer.Listen(_machine.Directory.ControlSocket, AnswerAsync);
        await using (server.ConfigureAwait(false))
        {
            // Before the loop: whatever makes this keeper leave waits for what it has begun.
            var beginning = _machine.Config.Start switch
            {
                KeeperStart.Standby => BecomeStandbyAsync(cancellation),
                KeeperStart.Destination => BecomeDestinationAsync(cancellation),
                _ => Task.CompletedTask,
            };
            _beginning = beginning;
            _loop.Start();
            var watching = _events.WatchAsync(LookForPatience);
            try
            {
                await beginning.ConfigureAwait(false);
                _loop.Post(new PairEvent.Started());
                if (_machine.Config.Start == KeeperStart.Adopt)
                {
                    _ = SayWhenOverdueAsync();
                }
                var why = await _left.Task.ConfigureAwait(false);
                // Who asked for the end gets its answer before the process ends.
                await server.AnsweredAsync(AnswerWithin).ConfigureAwait(false);
                return why;
            }
            finally
            {
                _events.Dispose();
                await watching.ConfigureAwait(false);
            }
        }
    }

    void IPairEdge.Moved(PairState before, PairState after, PairEvent because)
    {
        KeeperLog.Say(before.Phase == after.Phase ? $"{after.Phase}: {after.Reason}" : $"{before.Phase} → {after.Phase} ({because.GetType().Name}) {after.Reason}");
        _aloneAgain = after.Phase == PairPhase.Alone && before.Phase != PairPhase.Alone ? _aloneAgain ?? after.Reason : _aloneAgain;
        var takeover = _takeover.Last;
        _takeover.Moved(before, after, because);
        if ((before.Phase, after.Phase) == (PairPhase.Resuming, PairPhase.Alone) && _destination?.Result is { } move)
        {
            NoteArrival(move);
        }
        _events.Moved(before, after, because, ReferenceEquals(takeover, _takeover.Last) ? null : _takeover.Last);
        if (_stopWanted && after.Phase is PairPhase.Alone or PairPhase.Protected)
        {
            _loop.Post(new PairEvent.StopRequested(_guestShutDown));
        }
    }

    void IPairEdge.Do(PairEffect effect) => Do(effect);

    void IPairEdge.Hears(PairEvent e)
    {
        if (e is PairEvent.WasLate late)
        {
            _events.WasLate(late.GapMs);
            _session?.LatenessHeard();
        }
    }

    /// <summary>What an ended session still had to say is not about the next one.</summary>
    bool IPairEdge.IsCurrent(object from) => ReferenceEquals(from, _session) || ReferenceEquals(from, _moving);

    private void Do(PairEffect effect)
    {
        switch (effect)
        {
            case PairEffect.ReadRole read:
                _roles.Read(read.Again, _loop.State.Question);
                break;
            case PairEffect.SwapRole { Again: false } swap when swap.Swap.Next is { State: RoleState.Running } next && next.Primary == _me && IsGuestDying():
                _loop.Post(new PairEvent.SwapUnsent(swap.Swap.Next.Nonce, "its QEMU has died"));
                break;
            case PairEffect.SwapRole swap:
                _roles.Swap(swap.Swap, swap.Again);
                break;
            case PairEffect.WatchRole:
                _roles.Watch(() => _loop.State.Phase is PairPhase.Frozen or PairPhase.HandedOff or PairPhase.Yielding);
                _ = SayWhenOverdueAsync();
                break;
            case PairEffect.StartGuest start:
                _beginning = Beside(() => StartGuestAsync(start.Adopt), e => new PairEvent.QemuExited(e.Message));
                break;
            case PairEffect.StopGuest:
                _guest?.Process.Kill();
                break;
            case PairEffect.OpenNetwork:
                OpenNetwork();
                break;
            case PairEffect.Leave leave:
                _ = LeaveAsync(leave.Why);
                break;
            default:
                if (!DoForMove(effect) && !DoForProtection(effect))
                {
                    DoForStandby(effect);
                }
                break;
        }
    }

    /// <summary>Stops the VM as soon as the pair is in a state in which it may.</summary>
    private void Stop()
    {
        _stopWanted = true;
        _loop.Post(new PairEvent.StopRequested(_guestShutDown));
    }

    /// <summary>Again and again, for as long as somebody waits for the role; whoever asks anew waits from then on.</summary>
    private async Task SayWhenOverdueAsync()
    {
        var asked = Interlocked.Increment(ref _overdueAsked);
        do
        {
            using (var patience = new WatchedPatience(TakeoverPatience, _leaving.Token))
            {
                await Task.Delay(Timeout.Infinite, patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            if (asked != Volatile.Read(ref _overdueAsked))
            {
                return;
            }
            _loop.Post(new PairEvent.TakeoverOverdue());
        }
        while (_loop.State.Phase is PairPhase.Frozen or PairPhase.HandedOff or PairPhase.Yielding or PairPhase.Claiming && !_leaving.IsCancellationRequested);
    }

    /// <summary>
    /// Runs work beside the loop on a thread of its own: a takeover must not wait for a free thread. A failure becomes the event; a fault of the program ends it.
    /// </summary>
    /// <returns>Completes when the work has ended, however.</returns>
    private Task Beside(Func<Task> work, Func<PolluxException, PairEvent> failed)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                work().GetAwaiter().GetResult();
            }
            catch (PolluxException e)
            {
                _loop.Post(failed(e));
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                _loop.Post(failed(new PolluxException(e.Message, null, e)));
            }
            catch (OperationCanceledException) when (_leaving.IsCancellationRequested)
            {
                // The keeper leaves: nobody waits for the outcome.
            }
            finally
            {
                ended.SetResult();
            }
        })
        { IsBackground = true, Name = "beside" }.Start();
        return ended.Task;
    }

    private static void Cancel(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Attached already.
        }
    }
}
