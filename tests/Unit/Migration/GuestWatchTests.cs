using Pollux.Migration.Watching;

namespace Pollux.Unit.Tests.Migration;

public sealed class GuestWatchTests
{
    [Fact]
    public void Resident_IsAnonymousSharedAndSwapped() =>
        Assert.Equal(1024 * (100 + 20 + 3), GuestWatch.ResidentBytes(["Name:\tqemu", "RssAnon:\t     100 kB", "RssFile:\t 9999 kB", "RssShmem:\t      20 kB", "VmSwap:\t 3 kB"]));

    [Fact]
    public void Resident_OfNoProcess_IsUnknown() => Assert.Null(GuestWatch.ResidentBytes(int.MaxValue));

    [Fact]
    public void Resident_OfThisProcess_IsPlausible() => Assert.InRange(GuestWatch.ResidentBytes(Environment.ProcessId)!.Value, 10L << 20, 100L << 30);
}
