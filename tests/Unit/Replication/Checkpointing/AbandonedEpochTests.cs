using Pollux.Core;
using Pollux.Replication.Checkpointing;
using Xunit;

namespace Pollux.Unit.Tests.Replication.Checkpointing;

public sealed class AbandonedEpochTests
{
    [Fact]
    public void Abandon_WhileBeingShipped_NeverLooksCompleteAndGivesAllMemoryBack()
    {
        using var pool = new ChunkPool(8 << 20);
        var epoch = new EpochBuffer(pool, new Epoch(3));
        for (var i = 0; i < 3; i++)
        {
            epoch.RamFilled(epoch.RamSpace().Length);
        }
        epoch.RamSpace();
        pool.Return(epoch.TakeRam()!); // the sender has one already

        epoch.Abandon();

        Assert.False(epoch.IsComplete);
        Assert.Null(epoch.TakeRam());
        Assert.Equal(0, pool.UsedBytes);
    }
}
