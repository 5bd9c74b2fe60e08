using Pollux.Lab.Judgement;

namespace Pollux.Unit.Tests.Lab.Judgement;

public sealed class KnownMemoryTests
{
    /// <summary>What guest/redis/checksum.c said of 1 MiB, built and run on a host.</summary>
    [Theory]
    [InlineData(0, 0x9e7fbd7468344ac9)]
    [InlineData(150, 0x1450bcc34d4fe959)]
    public void Sum_IsWhatTheProgramSays(ulong writes, ulong sum) => Assert.Equal(sum, KnownMemory.Sum(256, writes));

    [Fact]
    public void Sum_EveryWriteCounts() => Assert.Equal(1000, Enumerable.Range(0, 1000).Select(n => KnownMemory.Sum(16, (ulong)n)).Distinct().Count());
}
