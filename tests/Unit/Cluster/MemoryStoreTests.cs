using Pollux.Cluster.Store;

namespace Pollux.Unit.Tests.Cluster;

public sealed class MemoryStoreContractTests : StoreContract
{
    protected override Task<IClusterStore> OpenAsync() => Task.FromResult<IClusterStore>(new MemoryStore());
}

/// <summary>The faults that simulations inject.</summary>
public sealed class MemoryStoreFaultTests
{
    private const string Key = StoreKeys.Root + "k";

    [Fact]
    public async Task Swap_AnswerLost_IsUnknownAndRepeatingItTellsItWasWon()
    {
        var store = new MemoryStore { Faults = (_, _) => StoreFault.AnswerLost };
        var swap = new Swap(Key, 0, "mine");
        Assert.IsType<SwapOutcome.Unknown>(await store.SwapAsync(swap, default));

        store.Faults = null;
        Assert.IsType<SwapOutcome.Won>(await store.SwapAsync(swap, default));
    }

    [Fact]
    public async Task Swap_Delayed_CannotUndoALaterWrite()
    {
        var store = new MemoryStore { Faults = (_, _) => StoreFault.Delayed };
        Assert.IsType<SwapOutcome.Unknown>(await store.SwapAsync(new Swap(Key, 0, "late"), default));
        var other = store.Connect();
        Assert.IsType<SwapOutcome.Won>(await other.SwapAsync(new Swap(Key, 0, "first"), default));

        store.DeliverDelayed();

        Assert.Equal("first", (await other.GetAsync(Key, default))!.Value);
    }

    [Fact]
    public async Task Calls_Unavailable_ThrowAndDoNothing()
    {
        var store = new MemoryStore { Faults = (_, _) => StoreFault.Unavailable };
        await Assert.ThrowsAsync<StoreUnavailableException>(() => store.PutAsync(Key, "v", 0, default));
        Assert.IsType<SwapOutcome.Unknown>(await store.SwapAsync(new Swap(Key, 0, "v"), default));
        Assert.Null(await store.Connect().GetAsync(Key, default));
    }
}
