using Pollux.Migration.Policies;
using Pollux.Migration.Watching;

namespace Pollux.Unit.Tests.Migration;

public sealed class RamSamplerTests
{
    private const long Pages = 100_000;
    private readonly uint[] _versions = new uint[Pages];
    private double _now;

    private RamSampler Sampler(int seed, long used = Pages) => new(Pages, page => new PageSeen(_versions[page], page >= used), new Random(seed), () => _now);

    private void Write(long from, long count)
    {
        for (var page = from; page < from + count; page++)
        {
            _versions[page]++;
        }
    }

    [Fact]
    public void Sampler_BeforeItsFirstLook_KnowsNothing()
    {
        var sampler = Sampler(1);
        _now += RamSight.LookMs(0) - 1;

        Assert.Null(sampler.Look(isFirstRound: true));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Sampler_CountsAPageOnce_HoweverOftenItIsWritten(int seed)
    {
        var sampler = Sampler(seed);
        RamSight? sight = null;
        for (var look = 0; look < 4; look++)
        {
            Write(0, Pages / 4);
            _now = RamSight.LookMs(look);
            sight = sampler.Look(isFirstRound: true);
        }

        Assert.Equal([50, 100, 200, 300], sight!.Written.Select(w => w.Ms));
        Assert.All(sight.Written, w => Assert.InRange(w.Bytes, 0.22 * Pages * 4096, 0.28 * Pages * 4096));
    }

    [Fact]
    public void Sampler_InTheFirstRound_TellsWhereWasWritten_AndGoesOnWithTheSamePages()
    {
        var sampler = Sampler(1);
        Write(Pages / 2, Pages / 4);
        RamSight? sight = null;
        for (var look = 0; look < 20; look++)
        {
            _now = RamSight.LookMs(look);
            sight = sampler.Look(isFirstRound: true);
        }

        Assert.Equal(20, sight!.Written.Count);
        Assert.Equal(_now, sight.SinceBeginMs);
        var perSlice = Pages * 4096.0 / RamSight.Slices;
        Assert.All(sight.WrittenBySlice!.Take(31), w => Assert.Equal(0, w));
        Assert.All(sight.WrittenBySlice!.Skip(33).Take(14), w => Assert.Equal(perSlice, w, 1.0));
        Assert.All(sight.WrittenBySlice!.Skip(49), w => Assert.Equal(0, w));
    }

    [Fact]
    public void Sampler_AfterTheFirstRound_BeginsAnew_AndKeepsWhatItKnewUntilItHasSomethingToSay()
    {
        var sampler = Sampler(1);
        Write(0, Pages);
        _now = 500;
        Assert.NotNull(sampler.Look(isFirstRound: true)!.WrittenBySlice);

        var known = sampler.Look(isFirstRound: false)!;
        Assert.Null(known.WrittenBySlice);
        Assert.Equal(Pages * 4096.0, known.Written[^1].Bytes);

        for (var look = 0; look < RamSight.LooksToTell; look++)
        {
            _now = 500 + RamSight.LookMs(look);
            known = sampler.Look(isFirstRound: false)!;
        }
        // Nothing was written since.
        Assert.All(known.Written, w => Assert.Equal(0, w.Bytes));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(20_000)]
    [InlineData(Pages)]
    public void Used_IsRatherMoreThanLess_AndNeverMoreThanAll(long used)
    {
        var estimates = new List<long>();
        for (var seed = 1; seed <= 20; seed++)
        {
            _now = 0;
            var sampler = Sampler(seed, used);
            _now = RamSight.LookMs(0);
            estimates.Add(sampler.Look(isFirstRound: true)!.UsedBytes / 4096);
        }

        Assert.All(estimates, e => Assert.InRange(e, used - (Pages / 100), Math.Min(Pages, used + (Pages / 25))));
        Assert.True(estimates.Count(e => e >= used) >= 17);
    }

    [Fact]
    public void File_ThatIsRam_IsSeenToChange()
    {
        var directory = Directory.CreateTempSubdirectory("pollux-ram-");
        try
        {
            const int ramBytes = 64 * 4096;
            var path = Path.Combine(directory.FullName, "ram");
            File.WriteAllBytes(path, new byte[ramBytes / 2]);
            using var ram = RamFile.TryOpen(path, ramBytes, new Random(1))!;
            var content = new byte[ramBytes / 2];
            Array.Fill(content, (byte)1, ramBytes / 4, ramBytes / 4);
            File.WriteAllBytes(path, content);

            RamSight? sight = null;
            Assert.True(SpinWait.SpinUntil(() => (sight = ram.Sampler.Look(isFirstRound: true)) is not null, TimeSpan.FromSeconds(30)));
            Assert.InRange(sight!.Written[0].Bytes, 0.2 * ramBytes, 0.3 * ramBytes);
            Assert.InRange(sight.UsedBytes, 0, ramBytes / 100);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void File_ThatIsNone_IsDoneWithout() => Assert.Null(RamFile.TryOpen("/no/such/file", 1 << 20, new Random(1)));
}
