namespace Pollux.Core;

/// <summary>
/// A patience that only this process's own watching uses up: each look adds what has passed since the one before, but never more than two periods
/// (as in rule 8 of the pair). After a freeze or starvation of this host nobody else is called late for it.
/// </summary>
public sealed class WatchedPatience : IDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(50);
    private readonly CancellationTokenSource _over;
    private volatile bool _renewed;

    /// <param name="within">Watched time after which <see cref="Token"/> is cancelled.</param>
    /// <param name="cancellation">Cancels it at once.</param>
    public WatchedPatience(TimeSpan within, CancellationToken cancellation = default, TimeProvider? time = null)
    {
        _over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        _ = WatchAsync(within, time ?? TimeProvider.System);
    }

    public CancellationToken Token => _over.Token;

    /// <summary>All of it is left again, if it is not over.</summary>
    public void Renew() => _renewed = true;

    public void Dispose()
    {
        _over.Cancel();
        _over.Dispose();
    }

    private async Task WatchAsync(TimeSpan within, TimeProvider time)
    {
        var token = _over.Token;
        var last = time.GetTimestamp();
        for (var watched = TimeSpan.Zero; watched < within;)
        {
            await Task.Delay(Period, time, token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (token.IsCancellationRequested)
            {
                return;
            }
            var now = time.GetTimestamp();
            var passed = time.GetElapsedTime(last, now);
            watched += passed < 2 * Period ? passed : 2 * Period;
            last = now;
            if (_renewed)
            {
                (_renewed, watched) = (false, TimeSpan.Zero);
            }
        }
        try
        {
            await _over.CancelAsync().ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // Whoever had the patience needs it no more.
        }
    }
}
