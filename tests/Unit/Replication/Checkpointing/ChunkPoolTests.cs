using Pollux.Replication.Checkpointing;

namespace Pollux.Unit.Tests.Replication.Checkpointing;

public sealed class ChunkPoolTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Fact]
    public void Rent_TheLastReturned_IsTheFirstLent()
    {
        using var pool = new ChunkPool(4 * ChunkPool.ChunkBytes);
        var (first, second) = (pool.Rent(), pool.Rent());
        first.Used = 10;
        pool.Return(second);
        pool.Return(first);

        Assert.Same(first, pool.Rent());
        Assert.Equal(0, first.Used);
        Assert.Equal((2 * ChunkPool.ChunkBytes, ChunkPool.ChunkBytes), (pool.AllocatedBytes, pool.UsedBytes));
    }

    [Fact]
    public async Task Rent_AtTheCeiling_WaitsForAReturn()
    {
        using var pool = new ChunkPool(2 * ChunkPool.ChunkBytes);
        var first = pool.Rent();
        pool.Rent();
        var waiting = Task.Run(pool.Rent);
        Assert.True(SpinWait.SpinUntil(() => pool.Waits == 1, Patience));

        pool.Return(first);

        Assert.Same(first, await waiting.WaitAsync(Patience));
        Assert.Equal(pool.CeilingBytes, pool.AllocatedBytes);
    }

    [Fact]
    public async Task Dispose_WhileRentersWait_FailsThemAll()
    {
        var pool = new ChunkPool(2 * ChunkPool.ChunkBytes);
        var lent = (Chunk[])[pool.Rent(), pool.Rent()];
        var waiting = (Task<Chunk>[])[Task.Run(pool.Rent), Task.Run(pool.Rent)];
        Assert.True(SpinWait.SpinUntil(() => pool.Waits == 2, Patience));

        pool.Dispose();

        foreach (var renter in waiting)
        {
            await Assert.ThrowsAsync<ObjectDisposedException>(() => renter.WaitAsync(Patience));
        }
        Array.ForEach(lent, pool.Return);
        Assert.Equal(0, pool.AllocatedBytes);
    }

    [Fact]
    public async Task RentAndReturn_FromManyThreads_LoseNoChunkAndPassNoCeiling()
    {
        using var pool = new ChunkPool(3 * ChunkPool.ChunkBytes);
        await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 2000; i++)
            {
                pool.Return(pool.Rent());
            }
        }))).WaitAsync(Patience);

        Assert.Equal(0, pool.UsedBytes);
        Assert.InRange(pool.AllocatedBytes, ChunkPool.ChunkBytes, pool.CeilingBytes);
    }

    [Fact]
    public void Shrink_GivesMemoryBackOnlyAfterQuietPeriods()
    {
        using var pool = new ChunkPool(64 * ChunkPool.ChunkBytes);
        var sizing = new BufferSizing();
        foreach (var chunk in Enumerable.Range(0, 20).Select(_ => pool.Rent()).ToList())
        {
            pool.Return(chunk);
        }

        pool.Shrink(sizing);
        Assert.Equal(20, pool.AllocatedBytes / ChunkPool.ChunkBytes);
        for (var period = 0; period < 8; period++)
        {
            pool.Shrink(sizing);
        }

        Assert.Equal(4, pool.AllocatedBytes / ChunkPool.ChunkBytes);
    }

    [Fact]
    public void Sizing_KeepsTheLargestOfEightPeriodsWithAQuarterInReserve()
    {
        var sizing = new BufferSizing();
        Assert.Equal(4, sizing.Keep(0));
        Assert.Equal(125, sizing.Keep(100));
        for (var period = 0; period < 7; period++)
        {
            Assert.Equal(125, sizing.Keep(8));
        }
        Assert.Equal(10, sizing.Keep(8));
    }
}
