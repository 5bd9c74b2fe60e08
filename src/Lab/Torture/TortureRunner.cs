using System.Diagnostics;
using System.Globalization;
using Pollux.Cluster.Api;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Lab.Faults;
using Pollux.Lab.Hosts;
using Pollux.Lab.Judgement;
using Pollux.Lab.Load;

namespace Pollux.Lab.Torture;

/// <summary>
/// Plays rounds in a lab, and lets judges decide that know nothing of Pollux: the client's log and its values read back, the order of
/// several clients' operations, what passed the switch, and what the guest remembers of what it said.
/// </summary>
public sealed class TortureRunner(TortureLab lab, ulong seed)
{
    private const int RequestsBefore = 100;
    private const int RequestsAfter = 100;
    private const double LossPercent = 20;
    private const int SlowMbit = 20;

    /// <summary>A host that is frozen beyond its lease needs a moment more.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ReachWithin = TimeSpan.FromSeconds(60);

    /// <summary>A peer stays frozen until the fault point is reached, but not beyond this: it may be one that only a peer which speaks leads to.</summary>
    private const int FrozenMsMax = 15_000;

    /// <summary>Plays one round. What goes wrong is in the verdict; evidence of it is kept.</summary>
    public async Task<TortureVerdict> PlayAsync(TortureRound round, CancellationToken cancellation = default)
    {
        var stage = new Stage(this, round);
        await using (stage.ConfigureAwait(false))
        {
            var complaints = new List<string>();
            try
            {
                await stage.PlayAsync(cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is PolluxException or TimeoutException)
            {
                complaints.Add(e.Message);
            }
            return await stage.JudgeAsync(complaints, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>One round's clients, recording and fault.</summary>
    private sealed class Stage(TortureRunner runner, TortureRound round) : IAsyncDisposable
    {
        private readonly TortureLab _lab = runner._lab;
        private readonly ulong _seed = runner._seed * 1_000_003 + (ulong)round.Number;
        private readonly List<Task> _thaws = []; // and heals, and starts: the ends of what lasts
        private RedisLoad? _load;
        private RegisterLoad? _registers;
        private SwitchRecording? _recording;
        private VmDocument? _before;
        private VmDocument? _after;
        private StruckFault? _struck;
        private SilencingFault? _silenced;
        private ulong _firstWord;
        private bool _reached = true;

        public async Task PlayAsync(CancellationToken cancellation)
        {
            _before = await _lab.WholeAsync(null, cancellation).ConfigureAwait(false);
            _firstWord = (ulong)(await BeaconMemory.ReadAsync(_lab.Cluster.OpenClientSocket, TortureLab.Beacon, 0, Patience, cancellation).ConfigureAwait(false)).Count;
            _recording = await SwitchRecording.StartAsync(_lab.Cluster, cancellation).ConfigureAwait(false);
            _load = await _lab.LoadAsync(_seed, cancellation).ConfigureAwait(false);
            _registers = RegisterLoad.Start(_lab.Cluster.OpenClientSocket, TortureLab.Redis, _seed);
            await AnsweredAsync(RequestsBefore, cancellation).ConfigureAwait(false);
            await Task.Delay(round.After, cancellation).ConfigureAwait(false);

            await StrikeOnPathAsync(cancellation).ConfigureAwait(false);
            if (_struck is { } struck && !await _load.IsAnsweredAfterAsync(struck.StopwatchTicks + Ticks(struck.Grace), Patience, cancellation).ConfigureAwait(false))
            {
                throw new PolluxException($"no answer within {Patience.TotalSeconds:0} s");
            }
            await AnsweredAsync(RequestsAfter, cancellation).ConfigureAwait(false);
            await Task.WhenAll(_thaws).ConfigureAwait(false);
            _after = await _lab.WholeAsync(_recording, cancellation).ConfigureAwait(false);
            await AnsweredAsync(RequestsAfter, cancellation).ConfigureAwait(false);
        }

        public async Task<TortureVerdict> JudgeAsync(List<string> complaints, CancellationToken cancellation)
        {
            LoadReport? client = null;
            RegisterReport? registers = null;
            BeaconVerdict? beacon = null;
            double? outage = null;
            try
            {
                if (_load is not null)
                {
                    outage = _struck is { } struck && _load.Log.OutageAt(struck.StopwatchTicks, struck.Grace) is { } gap
                        ? (gap.ToTicks - struck.StopwatchTicks) * 1000.0 / Stopwatch.Frequency : null;
                    client = await _load.FinishAsync(Patience).ConfigureAwait(false);
                    Add(!client.IsClean, $"the client: {client}");
                }
                if (_registers is not null)
                {
                    registers = await _registers.FinishAsync(Patience).ConfigureAwait(false);
                    Add(registers.Complaint is not null, $"a client of the registers: {registers.Complaint}");
                    complaints.AddRange(registers.Torn.Select(r => $"no order explains what the clients of {r} were told"));
                }
                if (_recording is not null)
                {
                    beacon = await JudgeSwitchAsync(_recording, complaints, cancellation).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is PolluxException or TimeoutException)
            {
                complaints.Add(e.Message);
            }
            var evidence = complaints.Count == 0 ? null : KeepEvidence(complaints);
            return new TortureVerdict(
                round, complaints, _reached, _before?.Role?.Primary.Host, _after?.Role?.Primary.Host, outage, client, registers, beacon, evidence);

            void Add(bool isWrong, string complaint)
            {
                if (isWrong)
                {
                    complaints.Add(complaint);
                }
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Task.WhenAll(_thaws).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_registers is not null)
            {
                await _registers.DisposeAsync().ConfigureAwait(false);
            }
            if (_load is not null)
            {
                await _load.DisposeAsync().ConfigureAwait(false);
            }
            if (_recording is not null)
            {
                await _recording.DisposeAsync().ConfigureAwait(false);
            }
        }

        private async Task<BeaconVerdict> JudgeSwitchAsync(SwitchRecording recording, List<string> complaints, CancellationToken cancellation)
        {
            // Stopped first: what is remembered afterwards holds all that was recorded.
            var frames = await recording.StopAsync().ConfigureAwait(false);
            var memory = await BeaconMemory.ReadAsync(_lab.Cluster.OpenClientSocket, TortureLab.Beacon, _firstWord, Patience, cancellation).ConfigureAwait(false);
            complaints.AddRange(SwitchJudge.Judge(_lab.VmMac, frames, _silenced).Complaints.Select(c => $"the switch: {c}"));
            var beacon = BeaconJudge.Judge(_lab.VmMac, frames, _firstWord, memory);
            complaints.AddRange(beacon.Complaints.Select(c => $"the beacon: {c}"));
            if (beacon.Heard == 0)
            {
                complaints.Add("no beacon was recorded: the guest is mute, or the recording is blind");
            }
            return beacon;
        }

        private async Task StrikeOnPathAsync(CancellationToken cancellation)
        {
            if (round.Path == TorturePath.Protecting)
            {
                await _lab.Vm.UnprotectAsync(cancellation).ConfigureAwait(false);
                // It may have been taken over since the round began.
                _before = await _lab.Vm.UntilAsync(v => v is { State: "running", Role: not null }, "running alone", Patience, cancellation).ConfigureAwait(false);
                await Polling.UntilAsync(() => _lab.Cluster[HostOf(PairSide.Standby)].FindKeepers().Count == 0, Patience, () => "the standby does not leave", cancellation).ConfigureAwait(false);
            }
            var (struck, peer) = (HostOf(round.Side), HostOf(round.Side == PairSide.Primary ? PairSide.Standby : PairSide.Primary));
            using var armed = round.Point is null ? null : _lab.Cluster.Arm(struck, _lab.Vm.Name, round.Point, round.Strike switch
            {
                Strike.KillKeeper => FaultPointAction.Kill,
                Strike.DropAnswer => FaultPointAction.Drop,
                _ => FaultPointAction.Hold,
            });
            var reached = armed is null ? Task.FromResult(true) : IsReachedAsync(armed, cancellation);
            var asked = GoOnPathAsync(peer, reached, cancellation);
            _reached = await reached.ConfigureAwait(false);
            if (_reached)
            {
                await StrikeAsync(struck, cancellation).ConfigureAwait(false);
            }
            armed?.Dispose();
            await asked.ConfigureAwait(false);
        }

        /// <summary>A user's order may come to nothing when its host is struck meanwhile; what the pair makes of it is judged, not the answer.</summary>
        private async Task GoOnPathAsync(string peer, Task reached, CancellationToken cancellation)
        {
            switch (round.Path)
            {
                case TorturePath.PlannedTakeover:
                    if (round.Strike == Strike.None)
                    {
                        await _lab.Vm.TakeOverAsync(cancellation).ConfigureAwait(false);
                        break;
                    }
                    await IgnoringRefusalAsync(() => _lab.Vm.TakeOverAsync(cancellation)).ConfigureAwait(false);
                    break;
                case TorturePath.Protecting:
                    await IgnoringRefusalAsync(() => _lab.Vm.ProtectAsync(cancellation)).ConfigureAwait(false);
                    break;
                case TorturePath.PeerFrozen:
                    Do(new LabFault.Freeze(peer));
                    _thaws.Add(ThawAsync(peer, round.FrozenMs, reached));
                    break;
                case TorturePath.PeerOff:
                    await PowerOffAsync(peer, cancellation).ConfigureAwait(false);
                    break;
            }
        }

        private async Task StrikeAsync(string host, CancellationToken cancellation)
        {
            switch (round.Strike)
            {
                case Strike.PowerOff:
                    await PowerOffAsync(host, cancellation).ConfigureAwait(false);
                    break;
                case Strike.Freeze:
                    _struck = Do(new LabFault.Freeze(host));
                    _thaws.Add(ThawAsync(host, round.Path == TorturePath.PeerFrozen ? round.FrozenMs / 2 : round.FrozenMs));
                    break;
                case Strike.KillQemu:
                    var doomed = _lab.Cluster[host].FindQemus(_lab.Vm.Name);
                    _struck = Do(new LabFault.KillQemu(_lab.Vm.Name, host));
                    // A big process takes a moment to die; the keeper is let go when it has.
                    await Polling.UntilAsync(() => !_lab.Cluster[host].FindQemus(_lab.Vm.Name).Intersect(doomed).Any(), Patience, () => "QEMU does not die", cancellation).ConfigureAwait(false);
                    break;
                case Strike.KillKeeper when round.Point is null:
                    _struck = Do(new LabFault.KillKeeper(_lab.Vm.Name, host));
                    break;
                case Strike.KillAgent:
                    _struck = Do(new LabFault.KillAgent(host));
                    break;
                case Strike.BreakChannel:
                    _struck = Do(new LabFault.BreakChannel(_lab.Vm.Name, host));
                    break;
                case Strike.CutLink or Strike.CutOneWay or Strike.LossyLink or Strike.SlowLink:
                    await SpoilLinkAsync(host, cancellation).ConfigureAwait(false);
                    break;
                case Strike.KillEtcd:
                    _struck = Do(new LabFault.EtcdDown(host));
                    _thaws.Add(AfterAsync(round.FrozenMs, () => Task.FromResult(Do(new LabFault.EtcdUp(host)))));
                    break;
                default:
                    // It struck by itself when the point was reached.
                    _struck = new StruckFault(round.Strike.ToString(), host, UnixMs(), Stopwatch.GetTimestamp(), 0);
                    break;
            }
        }

        private async Task SpoilLinkAsync(string host, CancellationToken cancellation)
        {
            var (wires, other) = (_lab.Cluster.Wires, HostOf(round.Side == PairSide.Primary ? PairSide.Standby : PairSide.Primary));
            _struck = await (round.Strike switch
            {
                Strike.LossyLink => wires.LoseAsync(host, other, LossPercent, cancellation),
                Strike.SlowLink => wires.SlowAsync(host, other, SlowMbit, cancellation: cancellation),
                _ => wires.CutAsync(host, other, oneWay: round.Strike == Strike.CutOneWay, cancellation),
            }).ConfigureAwait(false);
            _thaws.Add(AfterAsync(round.FrozenMs, () => wires.HealAsync(host, other)));
        }

        private async Task PowerOffAsync(string host, CancellationToken cancellation)
        {
            _struck = Do(new LabFault.PowerOff(host));
            await _lab.Cluster[host].DeadAsync(cancellation).ConfigureAwait(false);
            _silenced = new SilencingFault(host, _struck.UnixMs + _struck.TookMs);
        }

        private StruckFault Do(LabFault fault)
        {
            using var prepared = _lab.Cluster.Prepare(fault);
            return prepared.Strike();
        }

        private Task ThawAsync(string host, int afterMs, Task? reached = null) => AfterAsync(afterMs, async () =>
        {
            if (reached is not null)
            {
                await Task.WhenAny(reached, Task.Delay(FrozenMsMax - afterMs)).ConfigureAwait(false);
            }
            Do(new LabFault.Thaw(host));
        });

        private static async Task AfterAsync(int ms, Func<Task> end)
        {
            await Task.Delay(ms).ConfigureAwait(false);
            await end().ConfigureAwait(false);
        }

        private async Task<bool> IsReachedAsync(ArmedFaultPoint armed, CancellationToken cancellation)
        {
            try
            {
                await armed.ReachedAsync(ReachWithin, cancellation).ConfigureAwait(false);
                return true;
            }
            catch (TimeoutException)
            {
                return false;
            }
            catch (PolluxException)
            {
                return false;
            }
        }

        private static async Task IgnoringRefusalAsync(Func<Task> order)
        {
            try
            {
                await order().ConfigureAwait(false);
            }
            catch (PolluxException)
            {
                // Its host was struck.
            }
        }

        private string HostOf(PairSide side)
        {
            var primary = _before!.Role!.Primary.Host;
            return side == PairSide.Primary ? primary.Value : _lab.Cluster.Hosts.Single(h => h.Name != primary).Name.Value;
        }

        private Task AnsweredAsync(int more, CancellationToken cancellation)
        {
            var log = _load!.Log;
            var goal = log.Count + more;
            return Polling.UntilAsync(() => log.Count >= goal, Patience, () => $"the client's requests are not answered: {log.Count} of {goal}", cancellation);
        }

        private string KeepEvidence(List<string> complaints)
        {
            var directory = Directory.CreateTempSubdirectory("pollux-torture-").FullName;
            _lab.Cluster.SaveLogs(directory);
            _recording?.Save(directory);
            File.WriteAllLines(Path.Combine(directory, "verdict.txt"), [string.Create(CultureInfo.InvariantCulture, $"seed {runner._seed}, round {round.Number}: {round}"), .. complaints]);
            return directory;
        }

        private static double UnixMs() => (DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalMilliseconds;

        private static long Ticks(TimeSpan span) => (long)(span.TotalSeconds * Stopwatch.Frequency);
    }

    private readonly TortureLab _lab = lab;
    private readonly ulong _seed = seed;
}
