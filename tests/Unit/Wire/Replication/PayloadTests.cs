using System.Text;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Wire.Replication;

public class PayloadTests
{
    private static readonly Hello Sample = new(ConnectionKind.Heartbeat, "db", "h1", "0011", "2233", "sha", "7.2.22", 1 << 30, 10, 150);

    [Fact]
    public void Hello_ThereAndBack_IsTheSame() => Assert.Equal(Sample, Hello.Parse(Sample.ToJson()));

    [Fact]
    public void Welcome_ThereAndBack_IsTheSame() => Assert.Equal(new Welcome("h2", "44"), Welcome.Parse(new Welcome("h2", "44").ToJson()));

    [Fact]
    public void Welcome_OfAnOlderStandby_SpeaksTheFirstDialect() =>
        Assert.Equal(new Welcome("h2", "44", Dialect.First), Welcome.Parse("""{"host":"h2","incarnation":"44"}"""u8));

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"host": "h2"}""")]
    [InlineData("""{"host": null, "incarnation": "1"}""")]
    [InlineData("""{"host": 3, "incarnation": "1"}""")]
    public void Welcome_TextThatIsNone_IsRefused(string json) =>
        Assert.Throws<WireFormatException>(() => Welcome.Parse(Encoding.UTF8.GetBytes(json)));

    [Fact]
    public void Hello_MutatedText_IsReadOrRefused()
    {
        var random = new Random(7);
        for (var round = 0; round < 10_000; round++)
        {
            try
            {
                Hello.Parse(Mutation.Of(Sample.ToJson(), random));
            }
            catch (WireFormatException)
            {
            }
        }
    }

    [Fact]
    public void EpochEnd_ThereAndBack_IsTheSame()
    {
        var bytes = new byte[EpochEnd.Bytes];
        new EpochEnd(long.MaxValue, 5).Write(bytes);
        Assert.Equal(new EpochEnd(long.MaxValue, 5), EpochEnd.Read(bytes));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(17)]
    public void EpochEnd_AnotherLength_IsRefused(int length) =>
        Assert.Throws<WireFormatException>(() => EpochEnd.Read(new byte[length]));

    [Fact]
    public void FrameBatch_UntilItIsFull_GivesTheSameFramesInOrder()
    {
        var batch = new byte[4096];
        var used = 0;
        var random = new Random(3);
        var sent = new List<string>();
        while (true)
        {
            var frame = new byte[random.Next(0, 200)];
            random.NextBytes(frame);
            if (!FrameBatch.TryAppend(batch, ref used, sent.Count % 256, frame))
            {
                break;
            }
            sent.Add($"{sent.Count % 256} {Convert.ToHexString(frame)}");
        }

        var taken = new List<string>();
        ReadOnlySpan<byte> rest = batch.AsSpan(0, used);
        while (FrameBatch.TryTake(ref rest, out var nic, out var frame))
        {
            taken.Add($"{nic} {Convert.ToHexString(frame)}");
        }
        Assert.NotEmpty(sent);
        Assert.Equal(sent, taken);
    }

    [Fact]
    public void FrameBatch_CutShortAtEveryByte_IsRefused()
    {
        var batch = new byte[100];
        var used = 0;
        Assert.True(FrameBatch.TryAppend(batch, ref used, 1, new byte[40]));
        for (var length = 1; length < used; length++)
        {
            Assert.Throws<WireFormatException>(() => Take(batch.AsSpan(0, length)));
        }
    }

    private static void Take(ReadOnlySpan<byte> batch) => FrameBatch.TryTake(ref batch, out _, out _);
}
