using System.Globalization;
using System.Net.NetworkInformation;
using System.Security.Cryptography;
using Pollux.Lab.Network;

namespace Pollux.Lab.Judgement;

/// <summary>A fault after which its host says nothing more for the VM: it is off, or frozen until others have taken over.</summary>
/// <param name="FromUnixMs">When it was done, in Unix milliseconds.</param>
public sealed record SilencingFault(string Host, double FromUnixMs);

/// <summary>What a judge saw.</summary>
/// <param name="Complaints">Each a broken promise, in words; empty: none.</param>
/// <param name="Senders">The hosts that sent with the VM's address, in the order of their turns.</param>
/// <param name="Frames">How many frames had the VM's address.</param>
public sealed record SwitchVerdict(IReadOnlyList<string> Complaints, IReadOnlyList<string> Senders, int Frames)
{
    public bool IsClean => Complaints.Count == 0;
}

/// <summary>
/// Judges what came into the lab's switch while a VM was moved by faults. It knows nothing of Pollux, only what the world may rely on:
/// <list type="bullet">
/// <item>the VM speaks from one host at a time, and a host whose turn is over stays silent;</item>
/// <item>a TCP stream's bytes never change, whichever host sends them;</item>
/// <item>what the VM acknowledged stays acknowledged: no later segment acknowledges less, but one that the next host repeats byte for byte;</item>
/// <item>no connection that carried data in the recording is reset or closed by the VM (one that only ends in it is an earlier client's);</item>
/// <item>a dead host is silent.</item>
/// </list>
/// </summary>
public sealed class SwitchJudge
{
    private const int MaxComplaints = 20;
    private const double RepeatsWithinMs = 1000;
    private readonly List<string> _complaints = [];
    private readonly Dictionary<Flow, StreamRecord> _streams = [];
    private readonly Dictionary<Flow, (uint Acknowledged, string Host)> _acknowledged = [];
    private readonly Dictionary<Guid, string> _said = [];
    private string? _speaker;
    private double _speaksSinceMs;

    private SwitchJudge()
    {
    }

    /// <param name="vm">The VM's MAC address.</param>
    /// <param name="frames">What each host's port let in, in any order.</param>
    /// <param name="fault">The fault that struck meanwhile, if it was to silence its host.</param>
    public static SwitchVerdict Judge(PhysicalAddress vm, IEnumerable<SwitchFrame> frames, SilencingFault? fault = null) =>
        new SwitchJudge().Judge([.. frames.Where(f => f.IsFrom(vm)).OrderBy(f => f.UnixMs)], fault);

    private SwitchVerdict Judge(IReadOnlyList<SwitchFrame> frames, SilencingFault? fault)
    {
        var senders = JudgeTurns(frames);
        foreach (var frame in frames)
        {
            if (fault is not null && frame.Host == fault.Host && frame.UnixMs > fault.FromUnixMs)
            {
                Complain(frame, $"speaks {frame.UnixMs - fault.FromUnixMs:0.0} ms after its end");
            }
            if (TcpSegment.TryParse(frame.UnixMs, frame.Bytes) is { } segment)
            {
                JudgeSegment(frame, segment);
            }
        }
        return new SwitchVerdict(_complaints, senders, frames.Count);
    }

    private List<string> JudgeTurns(IReadOnlyList<SwitchFrame> frames)
    {
        var turns = new List<string>();
        foreach (var frame in frames)
        {
            if (turns.Count > 0 && turns[^1] == frame.Host)
            {
                continue;
            }
            if (turns.Contains(frame.Host))
            {
                Complain(frame, $"speaks again for the VM after {turns[^1]} has begun to");
                continue;
            }
            turns.Add(frame.Host);
        }
        return turns;
    }

    private void JudgeSegment(SwitchFrame frame, TcpSegment segment)
    {
        var flow = new Flow(segment.FromPort, segment.To, segment.ToPort);
        if ((segment.Flags & TcpFlags.Syn) != 0)
        {
            // A new connection between the same ports begins anew.
            _streams.Remove(flow);
            _acknowledged.Remove(flow);
        }
        var known = _streams.TryGetValue(flow, out var stream);
        if (known && (segment.Flags & (TcpFlags.Rst | TcpFlags.Fin)) != 0)
        {
            Complain(frame, $"sends {segment.Flags} to {segment.To}:{segment.ToPort}");
        }
        if (segment.PayloadBytes > 0)
        {
            _streams[flow] = stream ??= new StreamRecord();
            if (stream.Add(segment.Sequence, segment.Payload.Span) is { } at)
            {
                Complain(frame, $"sends other bytes than before at place {at} of the stream to {segment.To}:{segment.ToPort}");
            }
        }
        if (!IsRepeated(frame))
        {
            JudgeAcknowledgement(frame, segment, flow);
        }
    }

    /// <summary>
    /// A host that takes over says again what may not have been heard, once and at once. It is late, as a frame that a switch has held back would be, and
    /// tells nothing new.
    /// </summary>
    private bool IsRepeated(SwitchFrame frame)
    {
        if (frame.Host != _speaker)
        {
            (_speaker, _speaksSinceMs) = (frame.Host, frame.UnixMs);
        }
        var bytes = new Guid(SHA256.HashData(frame.Bytes.Span).AsSpan(0, 16));
        var isKnown = _said.TryGetValue(bytes, out var host);
        _said[bytes] = frame.Host;
        return isKnown && host != frame.Host && frame.UnixMs - _speaksSinceMs < RepeatsWithinMs;
    }

    private void JudgeAcknowledgement(SwitchFrame frame, TcpSegment segment, Flow flow)
    {
        if ((segment.Flags & TcpFlags.Ack) == 0 || (segment.Flags & TcpFlags.Rst) != 0)
        {
            return;
        }
        if (_acknowledged.TryGetValue(flow, out var before) && unchecked((int)(segment.Acknowledged - before.Acknowledged)) < 0)
        {
            Complain(frame, $"acknowledges {unchecked(before.Acknowledged - segment.Acknowledged)} bytes less of {segment.To}:{segment.ToPort} than {before.Host} had");
            return;
        }
        _acknowledged[flow] = (segment.Acknowledged, frame.Host);
    }

    private void Complain(SwitchFrame frame, string what)
    {
        if (_complaints.Count < MaxComplaints)
        {
            _complaints.Add(string.Create(CultureInfo.InvariantCulture, $"at {frame.UnixMs:0.000} ms host {frame.Host} {what}"));
        }
    }

    /// <summary>From the VM's port to a peer.</summary>
    private sealed record Flow(int FromPort, System.Net.IPAddress To, int ToPort);
}
