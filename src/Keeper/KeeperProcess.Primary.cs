using Pollux.Keeper.Primary;
using Pollux.Replication.Pair;
using Pollux.Wire.Replication;

namespace Pollux.Keeper;

/// <content>The side that runs the guest, and protects it.</content>
internal sealed partial class KeeperProcess
{
    private bool DoForProtection(PairEffect effect)
    {
        switch (effect)
        {
            case PairEffect.BeginCheckpointing begin:
                BeginProtection(begin.Standby);
                return true;
            case PairEffect.EndCheckpointing end:
                _sessionEnded = _session?.EndAsync(end.Why) ?? Task.CompletedTask;
                _session = null;
                return true;
            case PairEffect.HoldEgress:
                _guest!.Egress.Hold(FirstHeldEpoch);
                _guest.Ingress.Open(FirstHeldEpoch);
                _session!.Tell(FrameType.Sources, _guest.Sources.ToBytes());
                return true;
            case PairEffect.ResumeFromCut:
                _session?.ResumeFromCut();
                return true;
            case PairEffect.CloseGate:
                _session?.CloseGate();
                return true;
            case PairEffect.OpenGate:
                _session?.OpenGate();
                return true;
            case PairEffect.CutFinal:
                _session?.CutFinal();
                return true;
            case PairEffect.Release release:
                _guest?.Egress.Release(release.UpTo, _session is { } session ? session.MayRelease : static () => true);
                return true;
            case PairEffect.ReleaseAll:
                _guest?.Egress.Pass();
                return true;
            case PairEffect.TellProtected:
                _session?.Tell(FrameType.Protected, []);
                return true;
            case PairEffect.TellPrimaryDown down:
                _session?.TellDown(down.Why);
                return true;
            case PairEffect.TellTakeNow take:
                _session?.Tell(FrameType.TakeNow, take.Final.Value, "");
                return true;
            default:
                return false;
        }
    }

    private void BeginProtection(Member standby)
    {
        var target = Volatile.Read(ref _target)!;
        var hello = HelloTo(standby, ConnectionKind.Data);
        var options = new ProtectionOptions(
            standby, () => PeerConnector.Connect(target, _tls, hello), () => _tuning.TriggerSettings, _tuning.Transmission,
            _machine.Directory.PathsOf("").Channel, BufferCeiling(), _tuning.HeartbeatMs, _tuning.DetectionMs,
            _machine.Spec.FaultTolerance.Shipping == "changes", _tuning.Compression, Scrub());
        ProtectionSession? session = null;
        session = new ProtectionSession(_guest!, options, e => _loop.Post(e, from: session));
        _session = session;
        session.Begin();
    }

    private Hello HelloTo(Member peer, ConnectionKind kind) => new(
        kind, _machine.Spec.Name.Value, _me.Host.Value, _me.Incarnation.Value, peer.Incarnation.Value,
        _machine.SpecDigest, _machine.Qemu, _machine.RamBytes, _tuning.HeartbeatMs, _tuning.DetectionMs);

    private ScrubOptions? Scrub() => _machine.Spec.FaultTolerance.ScrubSeconds is > 0 and var seconds && _machine.Directory.ReadRecord() is { } record
        ? new ScrubOptions(record.RamFile, _machine.RamBytes, TimeSpan.FromSeconds(seconds), NoteScrubAlarm)
        : null;

    private long BufferCeiling() => _machine.Spec.FaultTolerance.BufferMaxBytes ?? Math.Max(64L << 20, _machine.RamBytes / 4);
}
