using Pollux.Cluster.Store;

namespace Pollux.Unit.Tests.Cluster;

/// <summary>What every store must do; run against the store in memory and against real etcd.</summary>
public abstract class StoreContract : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private IClusterStore store = null!;

    public async Task InitializeAsync() => store = await OpenAsync();

    public virtual async Task DisposeAsync() => await store.DisposeAsync();

    protected static CancellationToken Soon() => new CancellationTokenSource(Patience).Token;

    protected abstract Task<IClusterStore> OpenAsync();

    /// <summary>A key of this test alone: the store may be shared.</summary>
    private static string Fresh(string name) => $"{StoreKeys.Root}test/{Guid.NewGuid():N}/{name}";

    [Fact]
    public async Task Get_NoSuchKey_IsNull() => Assert.Null(await store.GetAsync(Fresh("none"), Soon()));

    [Fact]
    public async Task Put_ThenGet_ShowsTheValueAndARisingRevision()
    {
        var key = Fresh("k");
        await store.PutAsync(key, "grün {\"a\":1}", 0, Soon());
        var first = await store.GetAsync(key, Soon());
        await store.PutAsync(key, "", 0, Soon());
        var second = await store.GetAsync(key, Soon());

        Assert.Equal("grün {\"a\":1}", first!.Value);
        Assert.Equal("", second!.Value);
        Assert.True(second.ModRevision > first.ModRevision);
    }

    [Fact]
    public async Task List_Prefix_ShowsOnlyKeysUnderItInOrder()
    {
        var prefix = Fresh("");
        await store.PutAsync(prefix + "b", "2", 0, Soon());
        await store.PutAsync(prefix + "a", "1", 0, Soon());
        await store.PutAsync(Fresh("other"), "3", 0, Soon());

        Assert.Equal([prefix + "a", prefix + "b"], (await store.ListAsync(prefix, Soon())).Select(e => e.Key));
    }

    [Fact]
    public async Task Delete_Twice_LeavesNothing()
    {
        var key = Fresh("k");
        await store.PutAsync(key, "v", 0, Soon());
        await store.DeleteAsync(key, Soon());
        await store.DeleteAsync(key, Soon());

        Assert.Null(await store.GetAsync(key, Soon()));
    }

    [Fact]
    public async Task Swap_ExpectedRevision_WinsOnceAndTheSameSwapAgainStillSaysWon()
    {
        var key = Fresh("k");
        var swap = new Swap(key, 0, "mine, nonce 1");

        var won = Assert.IsType<SwapOutcome.Won>(await store.SwapAsync(swap, Soon()));
        var again = Assert.IsType<SwapOutcome.Won>(await store.SwapAsync(swap, Soon()));

        Assert.Equal(won.ModRevision, again.ModRevision);
        Assert.Equal(won.ModRevision, (await store.GetAsync(key, Soon()))!.ModRevision);
    }

    [Fact]
    public async Task Swap_AnotherWasFirst_IsLostAndShowsTheirs()
    {
        var key = Fresh("k");
        await store.SwapAsync(new Swap(key, 0, "theirs"), Soon());

        var lost = Assert.IsType<SwapOutcome.Lost>(await store.SwapAsync(new Swap(key, 0, "mine"), Soon()));

        Assert.Equal("theirs", lost.Current!.Value);
        Assert.False(lost.LeaseGone);
    }

    [Fact]
    public async Task Swap_KeyExpectedButAbsent_IsLostWithNothing()
    {
        var lost = Assert.IsType<SwapOutcome.Lost>(await store.SwapAsync(new Swap(Fresh("k"), 1, "mine"), Soon()));
        Assert.Null(lost.Current);
        Assert.False(lost.LeaseGone);
    }

    [Fact]
    public async Task Swap_RequiredKeyAbsent_IsLostForTheLeaseAndWritesNothing()
    {
        var (key, host) = (Fresh("k"), Fresh("host"));

        var lost = Assert.IsType<SwapOutcome.Lost>(await store.SwapAsync(new Swap(key, 0, "mine", host), Soon()));
        Assert.True(lost.LeaseGone);
        Assert.Null(await store.GetAsync(key, Soon()));

        await store.PutAsync(host, "alive", 0, Soon());
        Assert.IsType<SwapOutcome.Won>(await store.SwapAsync(new Swap(key, 0, "mine", host), Soon()));
    }

    [Fact]
    public async Task Swap_ManyAtOnce_ExactlyOneWins()
    {
        var key = Fresh("k");
        await store.PutAsync(key, "start", 0, Soon());
        var revision = (await store.GetAsync(key, Soon()))!.ModRevision;

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => store.SwapAsync(new Swap(key, revision, $"by {i}"), Soon())));

        Assert.Single(outcomes, o => o is SwapOutcome.Won);
        var winner = Array.FindIndex(outcomes, o => o is SwapOutcome.Won);
        Assert.Equal($"by {winner}", (await store.GetAsync(key, Soon()))!.Value);
    }

    [Fact]
    public async Task Lease_Revoked_TakesItsKeysAlong()
    {
        var key = Fresh("k");
        var lease = await store.GrantLeaseAsync(TimeSpan.FromSeconds(30), Soon());
        await store.PutAsync(key, "v", lease, Soon());
        Assert.True(await store.KeepAliveAsync(lease, Soon()));

        await store.RevokeLeaseAsync(lease, Soon());
        await store.RevokeLeaseAsync(lease, Soon());

        Assert.Null(await store.GetAsync(key, Soon()));
        Assert.False(await store.KeepAliveAsync(lease, Soon()));
    }

    [Fact]
    public async Task Lease_Gone_NothingCanBeBoundToIt()
    {
        var key = Fresh("k");
        var lease = await store.GrantLeaseAsync(TimeSpan.FromSeconds(30), Soon());
        await store.RevokeLeaseAsync(lease, Soon());

        await Assert.ThrowsAsync<LeaseGoneException>(() => store.PutAsync(key, "v", lease, Soon()));
        var lost = Assert.IsType<SwapOutcome.Lost>(await store.SwapAsync(new Swap(key, 0, "v", LeaseId: lease), Soon()));
        Assert.True(lost.LeaseGone);
        Assert.Null(await store.GetAsync(key, Soon()));
    }

    [Fact]
    public async Task Lease_NotRenewed_RunsOut()
    {
        var key = Fresh("k");
        var lease = await store.GrantLeaseAsync(TimeSpan.FromSeconds(1), Soon());
        await store.PutAsync(key, "v", lease, Soon());

        await foreach (var change in store.WatchAsync(key, Soon()))
        {
            if (change.Value is null)
            {
                break;
            }
        }

        Assert.Null(await store.GetAsync(key, Soon()));
    }

    [Fact]
    public async Task Watch_EntriesThenChanges_NothingIsMissed()
    {
        var prefix = Fresh("");
        await store.PutAsync(prefix + "old", "0", 0, Soon());
        await using var changes = store.WatchAsync(prefix, Soon()).GetAsyncEnumerator();
        Assert.True(await changes.MoveNextAsync());
        Assert.Equal((prefix + "old", "0"), (changes.Current.Key, changes.Current.Value));

        for (var i = 0; i < 20; i++)
        {
            await store.PutAsync(prefix + "k", $"{i}", 0, Soon());
        }

        await store.DeleteAsync(prefix + "k", Soon());
        for (var i = 0; i < 20; i++)
        {
            Assert.True(await changes.MoveNextAsync());
            Assert.Equal($"{i}", changes.Current.Value);
        }

        Assert.True(await changes.MoveNextAsync());
        Assert.Null(changes.Current.Value);
    }

    [Fact]
    public async Task Calls_Cancelled_ThrowOnlyThat()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.GetAsync(Fresh("k"), cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.SwapAsync(new Swap(Fresh("k"), 0, "v"), cancelled.Token));
    }
}
