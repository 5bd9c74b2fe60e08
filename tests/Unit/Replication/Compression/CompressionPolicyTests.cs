using Pollux.Replication.Compression;

namespace Pollux.Unit.Tests.Replication.Compression;

/// <summary>When compression pays, by figures as they were measured: LZ4 takes some 2 ns a byte; TLS and the sockets of one machine some 2, 1 Gbit/s 8, 100 Mbit/s 80.</summary>
public sealed class CompressionPolicyTests
{
    private const int FrameBytes = 60_000;
    private const double CompressNs = 2;
    private const double FastNs = 2;
    private const double GigabitNs = 9;
    private const double SlowNs = 82;

    [Theory]
    [InlineData(CompressionMode.Always, true)]
    [InlineData(CompressionMode.Never, false)]
    public void Decide_ByOrder_AsksNobody(CompressionMode mode, bool compressed)
    {
        var policy = new CompressionPolicy { Mode = mode };
        Assert.Equal(compressed ? 1000 : 0, Live(policy, 1000, FastNs, 0.4));
        Assert.Equal(compressed, policy.IsOn);
    }

    [Theory]
    [InlineData(FastNs, 0.4, false)]
    [InlineData(FastNs, 0.05, false)]
    [InlineData(GigabitNs, 0.4, true)]
    [InlineData(GigabitNs, 0.9, false)]
    [InlineData(SlowNs, 0.4, true)]
    [InlineData(SlowNs, 0.9, true)]
    [InlineData(SlowNs, 1, false)]
    public void Decide_Auto_WhereItPays(double carryNs, double share, bool on)
    {
        var policy = new CompressionPolicy();
        Live(policy, 200, carryNs, share);
        Assert.Equal(on, policy.IsOn);
        var compressed = Live(policy, 640, carryNs, share);
        Assert.Equal(on ? 630 : 10, compressed); // one in 64 is a probe of the other way
    }

    [Fact]
    public void Decide_WithNothingKnownOfTheLink_OnlyProbes()
    {
        var policy = new CompressionPolicy();
        var compressed = 0;
        for (var i = 0; i < 64; i++)
        {
            compressed += Frame(policy, 0.3) ? 1 : 0;
        }
        Assert.Equal(3, compressed);
        Assert.False(policy.IsOn);
    }

    [Fact]
    public void Decide_LinkThatGetsSlowAndFastAgain_Follows()
    {
        var policy = new CompressionPolicy();
        Live(policy, 300, FastNs, 0.4);
        Assert.False(policy.IsOn);
        Live(policy, 12, SlowNs, 0.4);
        Assert.True(policy.IsOn);
        Live(policy, 12, FastNs, 0.4);
        Assert.False(policy.IsOn);
    }

    [Fact]
    public void Decide_ContentThatNoLongerShrinks_StopsAndBeginsAgain()
    {
        var policy = new CompressionPolicy();
        Live(policy, 200, SlowNs, 0.4);
        Live(policy, 20, SlowNs, 1);
        Assert.False(policy.IsOn);
        Live(policy, 64 * 5, SlowNs, 0.4);
        Assert.True(policy.IsOn);
    }

    /// <summary>A thread that loses its processor now and then, by some milliseconds, makes no link slow.</summary>
    [Fact]
    public void Decide_FewOutliers_ChangeNothing()
    {
        var policy = new CompressionPolicy();
        for (var i = 0; i < 1000; i++)
        {
            Live(policy, 1, i % 3 == 0 ? 100 : FastNs, 0.4);
            Assert.False(policy.IsOn && i > 20, $"after {i} frames");
        }
    }

    /// <summary>Between what switches on and what switches off nothing changes.</summary>
    [Fact]
    public void Decide_NearTheEdge_StaysAsItIs()
    {
        // Saved 0.6 of the carrying; costs 2.5 ns.
        const double edge = 2.5 / 0.6;
        var off = new CompressionPolicy();
        Live(off, 200, FastNs, 0.4);
        Live(off, 200, edge, 0.4);
        Assert.False(off.IsOn);
        var on = new CompressionPolicy();
        Live(on, 200, SlowNs, 0.4);
        Live(on, 200, edge, 0.4);
        Assert.True(on.IsOn);
    }

    /// <summary>In the first copy nobody tells how it arrives; the writes block.</summary>
    [Fact]
    public void Decide_FirstCopyOverASlowLink_LearnsFromTheWrites()
    {
        var policy = new CompressionPolicy();
        for (var i = 0; i < 4; i++)
        {
            Frame(policy, 0.4);
            policy.Written(1 << 20, FastNs * (1 << 20)); // the sockets' buffers take it
        }
        Assert.False(policy.IsOn);
        for (var i = 0; i < 8; i++)
        {
            Frame(policy, 0.4);
            policy.Written(1 << 20, SlowNs * (1 << 20));
        }
        Frame(policy, 0.4);
        Assert.True(policy.IsOn);

        // Then small epochs over a link that has become fast: nothing of the old writes counts.
        Live(policy, 16, FastNs, 0.4);
        Assert.False(policy.IsOn);
    }

    [Fact]
    public void Decide_DeviceStateAndMemory_EachForItself()
    {
        var policy = new CompressionPolicy();
        for (var i = 0; i < 100; i++)
        {
            Frame(policy, 1);
            if (policy.Decide(FrameContent.DeviceState, 33_000))
            {
                policy.Compressed(FrameContent.DeviceState, 33_000, 4_000, 33_000);
            }
            policy.Arrived(FrameBytes, SlowNs * FrameBytes);
        }
        Assert.False(policy.IsOn);
        Assert.True(policy.Decide(FrameContent.DeviceState, 33_000));
    }

    /// <summary>Epochs of one frame each, over a link as described. Returns how many were compressed.</summary>
    private static int Live(CompressionPolicy policy, int epochs, double carryNs, double share)
    {
        var compressed = 0;
        for (var i = 0; i < epochs; i++)
        {
            compressed += Frame(policy, share) ? 1 : 0;
            policy.Written(FrameBytes, FrameBytes); // short: it says nothing
            policy.Arrived(FrameBytes, carryNs * FrameBytes);
        }
        return compressed;
    }

    private static bool Frame(CompressionPolicy policy, double share)
    {
        if (!policy.Decide(FrameContent.Memory, FrameBytes))
        {
            return false;
        }
        policy.Compressed(FrameContent.Memory, FrameBytes, (int)(share * FrameBytes), CompressNs * FrameBytes);
        return true;
    }
}
