using Pollux.Cluster.Store;
using Pollux.Core;

namespace Pollux.Unit.Tests.Cluster;

/// <summary>What is told when no member answers: each member's reason once, however often it was asked.</summary>
public sealed class EtcdStoreTests
{
    private const string Nobody = "127.0.0.1:1";

    [Fact]
    public async Task Read_OfMembersThatRefuse_TellsEachReasonOnce()
    {
        await using var store = Unreachable();

        var failure = await Assert.ThrowsAsync<StoreUnavailableException>(() => store.GetAsync("key", CancellationToken.None));

        AssertNothingTwice(failure.Problem);
    }

    [Fact]
    public async Task Swap_OfMembersThatRefuse_IsUnknownAndTellsEachReasonOnce()
    {
        await using var store = Unreachable();

        var outcome = await store.SwapAsync(new Swap("key", 0, "value"), CancellationToken.None);

        AssertNothingTwice(Assert.IsType<SwapOutcome.Unknown>(outcome).Why);
    }

    private static EtcdStore Unreachable() => new(new EtcdOptions([$"http://{Nobody}"]) { Deadline = TimeSpan.FromMilliseconds(300) });

    /// <summary>A busy machine may add that the time was up.</summary>
    private static void AssertNothingTwice(string reasons)
    {
        Assert.Contains(Nobody, reasons, StringComparison.Ordinal);
        var each = reasons.Split(", ");
        Assert.Equal(each.Distinct(), each);
    }
}
