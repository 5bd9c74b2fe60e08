using Pollux.Migration.Watching;

namespace Pollux.Unit.Tests.Migration;

public sealed class GuestWatchTests
{
    private const int PageBytes = 4096;
    private const int Pages = 8192;

    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    [InlineData(5000)]
    [InlineData(Pages)]
    public void Used_IsRatherMoreThanLess_AndNeverMoreThanAll(int used)
    {
        var directory = Directory.CreateTempSubdirectory("pollux-watch-");
        var file = Path.Combine(directory.FullName, "ram");
        var ram = new byte[Pages * PageBytes];
        for (var page = 0; page < used; page++)
        {
            // The last byte of a page counts as well as the first.
            ram[((Pages - 1 - page) * PageBytes) + (page % 2 * (PageBytes - 1))] = 7;
        }
        File.WriteAllBytes(file, ram);

        var estimates = Enumerable.Range(1, 20).Select(seed => GuestWatch.UsedBytes(file, ram.Length, new Random(seed))!.Value / PageBytes).ToList();
        directory.Delete(recursive: true);

        Assert.All(estimates, e => Assert.InRange(e, used - (Pages / 100), Math.Min(Pages, used + (Pages / 20))));
        Assert.True(estimates.Count(e => e >= used) >= 17);
    }

    [Fact]
    public void Used_OfNoFile_IsUnknown() => Assert.Null(GuestWatch.UsedBytes("/no/such/file", 1 << 20, new Random(1)));
}
