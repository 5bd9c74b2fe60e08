using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper.Guests;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Link;
using Pollux.Replication.Network;
using Pollux.Replication.Pair;
using Pollux.Replication.Shipping;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Keeper.Primary;

/// <summary>
/// The primary's end of the link to one standby: epochs and words go out, acknowledgements come in, and both sides' hearts beat on a connection of
/// their own. What it hears it reports as events of the pair.
/// </summary>
internal sealed class PrimaryLink
{
    private readonly FrameStream _data;
    private readonly HeartbeatLink _heartbeat;
    private readonly UnheardLateness _lateness = new();
    private readonly Func<bool> _isLate;
    private readonly ProtectionOptions _options;
    private readonly Func<Epoch> _open;
    private readonly Action<Epoch> _acknowledged;
    private readonly Action<PairEvent> _report;

    /// <param name="open">The epoch in which the guest runs.</param>
    /// <param name="acknowledged">Called for every acknowledgement, before it is reported.</param>
    public PrimaryLink(
        StandbyConnection standby, ProtectionOptions options, CompressionMode compression, Guest guest, ChunkPool pool, Func<Epoch> open, Action<Epoch> acknowledged, Action<PairEvent> report)
    {
        (_data, _options, _open, _acknowledged, _report) = (standby.Data, options, open, acknowledged, report);
        Speaks = standby.Speaks;
        var pieces = new EpochFrames(_data, compression, Speaks >= Dialect.Compression ? null : $"{options.Standby.Host}'s keeper does not understand it");
        Sender = new LinkSender(
            pieces, "primary", pool, guest.Ingress, why => report(new PairEvent.LinkDown(why)),
            Speaks >= Dialect.Pages && options.ShipChanges ? new EpochEncoder(pieces) : null,
            Speaks >= Dialect.Egress ? new EgressCopies(guest.Egress) : null);
        _heartbeat = new HeartbeatLink(standby.Heartbeat, "primary", options.HeartbeatMs, options.DetectionMs, Judge);
        _isLate = () => _heartbeat.IsLate;
    }

    public LinkSender Sender { get; }

    /// <summary>The standby's <see cref="Dialect"/>.</summary>
    public int Speaks { get; }

    /// <summary>See <see cref="UnheardLateness"/>.</summary>
    public bool MayRelease => _lateness.MayRelease(_isLate);

    public void LatenessHeard() => _lateness.Heard();

    public void SetDetection(int detectionMs) => _heartbeat.SetDetection(detectionMs);

    public void Start()
    {
        _heartbeat.Start();
        new Thread(ReadAnswers) { IsBackground = true, Name = "primary link in" }.Start();
    }

    public void Tell(FrameType type, long epoch, string text) => Sender.Post(type, epoch, Encoding.UTF8.GetBytes(text));

    /// <summary>Sends what is still to be told, if that is possible in a moment, and closes both connections.</summary>
    public void TakeLeave()
    {
        Sender.FinishUrgent(TimeSpan.FromMilliseconds(500));
        _heartbeat.Dispose();
        _data.Dispose();
    }

    private void ReadAnswers()
    {
        try
        {
            while (true)
            {
                var header = _data.ReadHeader();
                Hear(header, _data.ReadPayload(header));
            }
        }
        catch (Exception e) when (e is IOException or SocketException or PolluxException or ObjectDisposedException or InvalidOperationException or AuthenticationException)
        {
            _report(new PairEvent.LinkDown(e is EndOfStreamException ? "the standby closed it" : e.Message));
        }
    }

    private void Hear(FrameHeader header, byte[] payload)
    {
        switch (header.Type)
        {
            case FrameType.Acknowledge when !FaultPoint.Pass(FaultPoints.Acknowledgement):
                break;
            case FrameType.Acknowledge:
                var epoch = new Epoch(header.Epoch);
                Sender.Pieces.Arrived(Arrival.Read(payload));
                _acknowledged(epoch);
                _report(new PairEvent.Acknowledged(epoch));
                break;
            case FrameType.ScrubAlarm when _options.Scrub is { } scrub:
                scrub.Alarm(Encoding.UTF8.GetString(payload));
                break;
            case FrameType.Dismiss:
                _report(new PairEvent.Dismissed(Encoding.UTF8.GetString(payload)));
                break;
            default:
                throw new WireFormatException($"the standby sent a {header.Type} frame");
        }
    }

    private void Judge(SilenceVerdict verdict)
    {
        if (verdict.LateMs is { } late)
        {
            _lateness.Found();
            _report(new PairEvent.WasLate(late, _open()));
        }
        if (verdict.SilentMs is { } silent)
        {
            _report(new PairEvent.PeerSilent(silent));
        }
        if (verdict.HeardAgain)
        {
            _report(new PairEvent.PeerHeard());
        }
    }
}
