using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Wire.Replication;

public class ScrubSampleTests
{
    private static readonly byte[] Seed = KeyedHash.NewSeed();

    [Fact]
    public void Sample_ThereAndBack_IsTheSame()
    {
        var sample = ScrubSample.Create(Seed, 3);
        for (var i = 0; i < 3; i++)
        {
            ScrubSample.Set(sample, i, i * 0x7_0000_1000L, UInt128.MaxValue - (UInt128)i);
        }

        Assert.Equal(3, ScrubSample.Count(sample));
        Assert.Equal(Seed, ScrubSample.Seed(sample).ToArray());
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal((i * 0x7_0000_1000L, UInt128.MaxValue - (UInt128)i), ScrubSample.Get(sample, i));
        }
    }

    [Fact]
    public void Count_OfASampleCutShortAtAnyByte_IsRefusedUnlessAnEntryEndsThere()
    {
        var sample = ScrubSample.Create(Seed, 4);
        for (var length = 0; length < sample.Length; length++)
        {
            if (length >= KeyedHash.SeedBytes && (length - KeyedHash.SeedBytes) % ScrubSample.EntryBytes == 0)
            {
                Assert.Equal((length - KeyedHash.SeedBytes) / ScrubSample.EntryBytes, ScrubSample.Count(sample.AsSpan(0, length)));
                continue;
            }
            Assert.Throws<WireFormatException>(() => ScrubSample.Count(sample.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Count_OfMorePagesThanAreTaken_IsRefused() =>
        Assert.Throws<WireFormatException>(() => ScrubSample.Count(ScrubSample.Create(Seed, ScrubSample.MaxPages + 1)));

    [Theory]
    [InlineData(-4096)]
    [InlineData(1)]
    [InlineData(4095)]
    public void Get_AddressWhereNoPageBegins_IsRefused(long address)
    {
        var sample = ScrubSample.Create(Seed, 1);
        ScrubSample.Set(sample, 0, address, 0);
        Assert.Throws<WireFormatException>(() => ScrubSample.Get(sample, 0));
    }
}
