using System.Buffers.Binary;
using System.Net.NetworkInformation;
using System.Text;
using Pollux.Lab.Judgement;
using Pollux.Lab.Network;

namespace Pollux.Unit.Tests.Lab.Judgement;

/// <summary>A clean recording passes, and each doctored one is caught.</summary>
public sealed class SwitchJudgeTests
{
    private static readonly uint Isn = uint.MaxValue - 10;
    private static readonly PhysicalAddress Vm = PhysicalAddress.Parse("52-54-00-12-34-56");
    private readonly List<SwitchFrame> _frames = [];

    public SwitchJudgeTests()
    {
        // The stream's numbers wrap within it.
        Sends("h1", 1, Isn, 500, "", TcpFlags.Syn | TcpFlags.Ack);
        Sends("h1", 2, Isn + 1, 510, "+OK\r\n");
        Sends("h1", 3, Isn + 6, 520, ":1\r\n");
        Sends("h2", 200, Isn + 6, 520, ":1\r\n");
        Sends("h2", 201, Isn + 10, 530, "+OK\r\n");
    }

    [Fact]
    public void Judge_ATakeoverAsItShouldBe_HasNoComplaint()
    {
        var verdict = SwitchJudge.Judge(Vm, _frames, new SilencingFault("h1", 10));

        Assert.Empty(verdict.Complaints);
        Assert.Equal(["h1", "h2"], verdict.Senders);
        Assert.Equal(5, verdict.Frames);
    }

    [Fact]
    public void Judge_TheOldHostSpeakingAgain_IsCaught()
    {
        Sends("h1", 202, Isn + 10, 530, "+OK\r\n");

        Assert.Contains(Judged().Complaints, c => c.Contains("h1 speaks again", StringComparison.Ordinal));
    }

    [Fact]
    public void Judge_OtherBytesAtTheSamePlace_AreCaught()
    {
        Sends("h2", 202, Isn + 6, 530, ":2\r\n");

        Assert.Contains("other bytes than before at place 6", Assert.Single(Judged().Complaints), StringComparison.Ordinal);
    }

    [Fact]
    public void Judge_OverlappingBytesSegmentedOtherwise_AreTheSameStream()
    {
        Sends("h2", 202, Isn + 3, 530, "K\r\n:1\r\n+O");

        Assert.True(Judged().IsClean);
    }

    [Fact]
    public void Judge_AnAcknowledgementTakenBack_IsCaught()
    {
        Sends("h2", 202, Isn + 15, 525, "");

        Assert.Contains("acknowledges 5 bytes less", Assert.Single(Judged().Complaints), StringComparison.Ordinal);
    }

    [Fact]
    public void Judge_TheOldHostsFrameRepeatedByteForByteByTheNext_IsLateAndNoMore()
    {
        Sends("h2", 202, Isn + 1, 510, "+OK\r\n");

        Assert.True(Judged().IsClean);
    }

    [Theory]
    [InlineData(202, 203)]
    [InlineData(1700, 1701)]
    public void Judge_TheOldHostsFrameRepeatedTwiceOrLate_IsCaught(double first, double second)
    {
        Sends("h2", first, Isn + 1, 510, "+OK\r\n");
        Sends("h2", second, Isn + 1, 510, "+OK\r\n");

        Assert.Contains("bytes less", Judged().Complaints[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Judge_AHostRepeatingItsOwnOldAcknowledgement_IsCaught()
    {
        Sends("h2", 202, Isn + 15, 540, "");
        Sends("h2", 203, Isn + 10, 530, "+OK\r\n");

        Assert.Contains("acknowledges 10 bytes less", Assert.Single(Judged().Complaints), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TcpFlags.Rst)]
    [InlineData(TcpFlags.Fin | TcpFlags.Ack)]
    public void Judge_AnEndOfTheConnection_IsCaught(TcpFlags flags)
    {
        Sends("h2", 202, Isn + 15, 530, "", flags);

        Assert.Contains("h2 sends", Assert.Single(Judged().Complaints), StringComparison.Ordinal);
    }

    [Fact]
    public void Judge_AnEarlierClientsConnectionEnding_IsNotItsMatter()
    {
        Sends("h2", 202, 77, 88, "", TcpFlags.Fin | TcpFlags.Ack, clientPort: 39999);

        Assert.True(Judged().IsClean);
    }

    [Fact]
    public void Judge_ADeadHostSpeaking_IsCaught() =>
        Assert.Contains("h1 speaks 0.5 ms after its end", Assert.Single(SwitchJudge.Judge(Vm, _frames, new SilencingFault("h1", 2.5)).Complaints), StringComparison.Ordinal);

    [Fact]
    public void Judge_FramesOfOthers_AreNotItsMatter()
    {
        _frames.Add(new SwitchFrame(202, "h1", new byte[60]));
        _frames.Add(new SwitchFrame(203, "h1", new byte[3]));

        Assert.Equal(5, Judged().Frames);
    }

    private SwitchVerdict Judged() => SwitchJudge.Judge(Vm, _frames);

    private void Sends(string host, double unixMs, uint sequence, uint acknowledged, string payload, TcpFlags flags = TcpFlags.Ack, ushort clientPort = 40000)
    {
        const int headers = 14 + 20 + 20;
        var frame = new byte[headers + payload.Length];
        Vm.GetAddressBytes().CopyTo(frame, 6);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), 0x0800);
        var ip = frame.AsSpan(14);
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(frame.Length - 14));
        ip[9] = 6;
        new byte[] { 10, 78, 0, 10, 10, 78, 0, 250 }.CopyTo(ip[12..]);
        var tcp = ip[20..];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 6379);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], clientPort);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], sequence);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], acknowledged);
        tcp[12] = 5 << 4;
        tcp[13] = (byte)flags;
        Encoding.Latin1.GetBytes(payload).CopyTo(tcp[20..]);
        _frames.Add(new SwitchFrame(unixMs, host, frame));
    }
}
