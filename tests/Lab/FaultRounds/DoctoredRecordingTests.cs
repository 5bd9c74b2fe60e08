using Pollux.Lab.Judgement;
using Pollux.Lab.Network;

namespace Pollux.Lab.Tests.FaultRounds;

/// <summary>The judge that finds nothing wrong with a real takeover finds every fake made out of its recording.</summary>
[Collection(ProtectedLabTests.Name)]
public sealed class DoctoredRecordingTests(ProtectedLab lab)
{
    [Fact]
    public async Task Judge_OfARealTakeoverDoctored_CatchesEachFake()
    {
        var round = await new FaultRound(lab, "kill-qemu", Side.Primary, seed: 77).RunAsync();
        Assert.True(round.Switch.IsClean, string.Join('\n', round.Switch.Complaints));
        Assert.Equal([round.PrimaryBefore.Value, round.PrimaryAfter.Value], round.Switch.Senders);

        var replies = round.Frames.Where(f => f.Host != SwitchRecording.Client && IsReply(f)).ToList();
        var last = replies[^1];
        // A long reply is several segments, which all acknowledge the same.
        var earlier = replies.Last(r => AcknowledgesLess(r, last));
        var late = last.UnixMs + 1;

        Caught("other bytes than before", last with { UnixMs = late, Bytes = WithLastByteChanged(last.Bytes) });
        Caught("speaks again", last with { UnixMs = late, Host = round.PrimaryBefore.Value });
        Caught("bytes less", earlier with { UnixMs = late });
        Caught("sends Rst", last with { UnixMs = late, Bytes = WithReset(last.Bytes) });
        Assert.Contains("after its end", string.Join('\n', SwitchJudge.Judge(lab.VmMac, round.Frames, new SilencingFault(round.PrimaryAfter.Value, last.UnixMs - 1)).Complaints), StringComparison.Ordinal);

        void Caught(string complaint, SwitchFrame fake) =>
            Assert.Contains(SwitchJudge.Judge(lab.VmMac, [.. round.Frames, fake]).Complaints, c => c.Contains(complaint, StringComparison.Ordinal));
    }

    private static bool IsReply(SwitchFrame frame) => TcpSegment.TryParse(frame.UnixMs, frame.Bytes) is { FromPort: 6379, PayloadBytes: > 0 };

    private static bool AcknowledgesLess(SwitchFrame frame, SwitchFrame than)
    {
        var (a, b) = (TcpSegment.TryParse(0, frame.Bytes)!, TcpSegment.TryParse(0, than.Bytes)!);
        return a.ToPort == b.ToPort && unchecked((int)(a.Acknowledged - b.Acknowledged)) < 0;
    }

    private static byte[] WithLastByteChanged(ReadOnlyMemory<byte> frame)
    {
        var changed = frame.ToArray();
        changed[^1] ^= 1;
        return changed;
    }

    private static byte[] WithReset(ReadOnlyMemory<byte> frame)
    {
        const int flagsAt = 14 + 20 + 13;
        var changed = frame.ToArray();
        changed[flagsAt] = (byte)TcpFlags.Rst;
        return changed;
    }
}
