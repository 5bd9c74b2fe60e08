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

        Assert.Equal(1, Mentions(failure.Problem));
    }

    [Fact]
    public async Task Swap_OfMembersThatRefuse_IsUnknownAndTellsEachReasonOnce()
    {
        await using var store = Unreachable();

        var outcome = await store.SwapAsync(new Swap("key", 0, "value"), CancellationToken.None);

        Assert.Equal(1, Mentions(Assert.IsType<SwapOutcome.Unknown>(outcome).Why));
    }

    private static EtcdStore Unreachable() => new(new EtcdOptions([$"http://{Nobody}"]) { Deadline = TimeSpan.FromMilliseconds(300) });

    private static int Mentions(string text) => text.Split(Nobody).Length - 1;
}
