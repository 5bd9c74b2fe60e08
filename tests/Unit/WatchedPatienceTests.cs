using Pollux.Core;

namespace Pollux.Unit.Tests;

public sealed class WatchedPatienceTests
{
    [Fact]
    public async Task Patience_IsOverAfterItsTime()
    {
        using var patience = new WatchedPatience(TimeSpan.FromMilliseconds(120));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(TimeSpan.FromSeconds(30), patience.Token));
    }

    [Fact]
    public void Patience_IsOverAtOnce_WhenItIsCancelled()
    {
        using var end = new CancellationTokenSource();
        using var patience = new WatchedPatience(TimeSpan.FromHours(1), end.Token);
        end.Cancel();
        Assert.True(patience.Token.IsCancellationRequested);
    }

    [Fact]
    public async Task Gaps_OfTheWatcher_AreNotPatience()
    {
        var clock = new JumpingClock();
        using var patience = new WatchedPatience(TimeSpan.FromMilliseconds(500), time: clock);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(TimeSpan.FromSeconds(30), patience.Token));
        // Each look was ten seconds after the one before, and counted for a tenth of one.
        Assert.Equal(6, clock.Looks);
    }

    [Fact]
    public async Task Patience_ThatIsRenewed_IsThereInFull()
    {
        var clock = new JumpingClock();
        using var patience = new WatchedPatience(TimeSpan.FromMilliseconds(500), time: clock);
        clock.Looking = looks =>
        {
            if (looks == 4)
            {
                patience.Renew();
            }
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(TimeSpan.FromSeconds(30), patience.Token));
        // Four looks (the first one begins), of which the last renewed it, and five more.
        Assert.Equal(10, clock.Looks);
    }

    /// <summary>Ten seconds pass between two looks at it, as for a host that is frozen in between.</summary>
    private sealed class JumpingClock : TimeProvider
    {
        public int Looks { get; private set; }
        public Action<int>? Looking { get; set; }

        public override long GetTimestamp()
        {
            Looking?.Invoke(Looks);
            return Looks++ * 10 * TimestampFrequency;
        }
    }
}
