using System.Buffers.Binary;
using System.Net.NetworkInformation;
using Pollux.Lab.Judgement;

namespace Pollux.Unit.Tests.Lab.Judgement;

public sealed class BeaconJudgeTests
{
    private static readonly PhysicalAddress Vm = PhysicalAddress.Parse("52-54-00-00-00-01");

    private static SwitchFrame Said(double at, string host, ulong number, ulong word)
    {
        var frame = new byte[14 + 20 + 8 + 24];
        Vm.GetAddressBytes().CopyTo(frame, 6);
        (frame[12], frame[14], frame[17], frame[23]) = (0x08, 0x45, 20 + 8 + 24, 17);
        "PLXBEACO"u8.CopyTo(frame.AsSpan(42));
        BinaryPrimitives.WriteUInt64BigEndian(frame.AsSpan(50), number);
        BinaryPrimitives.WriteUInt64BigEndian(frame.AsSpan(58), word);
        return new SwitchFrame(at, host, frame);
    }

    [Fact]
    public void Words_ThatTheGuestRemembers_AreClean()
    {
        var verdict = BeaconJudge.Judge(Vm, [Said(1, "h1", 5, 50), Said(2, "h1", 6, 60), Said(3, "h2", 7, 70)], 5, [50, 60, 70, 80]);
        Assert.Empty(verdict.Complaints);
        Assert.Equal(3, verdict.Heard);
    }

    [Fact]
    public void Word_SaidInAVlan_IsHeard()
    {
        var plain = Said(1, "h1", 5, 50).Bytes.ToArray();
        byte[] tagged = [.. plain[..12], 0x81, 0x00, 0x00, 0x05, .. plain[12..]];
        Assert.Equal(1, BeaconJudge.Judge(Vm, [new SwitchFrame(1, "h1", tagged)], 5, [50]).Heard);
    }

    [Fact]
    public void Word_SaidAgainWithoutChange_IsClean() =>
        Assert.Empty(BeaconJudge.Judge(Vm, [Said(1, "h1", 5, 50), Said(2, "h2", 5, 50)], 5, [50]).Complaints);

    [Fact]
    public void Number_WithTwoWords_LeftBeforeItsCommit() =>
        Assert.Contains(BeaconJudge.Judge(Vm, [Said(1, "h1", 5, 50), Said(2, "h2", 5, 51)], 5, [51]).Complaints, c => c.Contains("before its commit", StringComparison.Ordinal));

    [Fact]
    public void Word_ThatTheGuestDoesNotRemember_IsFound() =>
        Assert.Contains("does not remember", Assert.Single(BeaconJudge.Judge(Vm, [Said(1, "h1", 5, 50)], 5, [51]).Complaints), StringComparison.Ordinal);

    [Fact]
    public void Number_BeyondTheGuestsMemory_IsFound() =>
        Assert.Contains("remembers none beyond 6", Assert.Single(BeaconJudge.Judge(Vm, [Said(1, "h1", 6, 60)], 5, [50]).Complaints), StringComparison.Ordinal);

    [Fact]
    public void Frames_OfOthersAndOfOtherKinds_AreNone()
    {
        var other = Said(1, "h1", 5, 50).Bytes.ToArray();
        other[11] ^= 1;
        var notUdp = Said(1, "h1", 5, 50).Bytes.ToArray();
        notUdp[23] = 6;
        Assert.Equal(0, BeaconJudge.Judge(Vm, [new SwitchFrame(1, "h1", other), new SwitchFrame(2, "h1", notUdp), new SwitchFrame(3, "h1", new byte[10])], 0, []).Heard);
    }
}
