using Pollux.Lab.Bench.Modes;

namespace Pollux.Lab.Bench.Migration;

/// <summary>Watches how fast a guest's own loop goes, from outside, until it is stopped: twenty looks a second at what it says ten times a second.</summary>
internal sealed class GuestSpeed : IAsyncDisposable
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);

    // Of fewer than these a speed is mostly noise.
    private const int LeastCounts = 4;

    private readonly GuestWork _work;
    private readonly CancellationTokenSource _end = new();
    private readonly List<WorkMark> _marks = [];
    private readonly Task _watch;

    private GuestSpeed(GuestWork work)
    {
        _work = work;
        _watch = WatchAsync();
    }

    public static GuestSpeed? Begin(GuestWork? work) => work is null ? null : new GuestSpeed(work);

    /// <summary>Counts a second while it ran, from the first new count to the last; null: too few were seen.</summary>
    public async Task<double?> EndAsync()
    {
        await DisposeAsync().ConfigureAwait(false);
        return _marks.Count > LeastCounts ? WorkMark.PerSecond(_marks[1], _marks[^1]) : null;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_watch.IsCompleted)
        {
            await _end.CancelAsync().ConfigureAwait(false);
        }
        await _watch.ConfigureAwait(false);
    }

    private async Task WatchAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                if (_work.Now() is { } mark && (_marks.Count == 0 || _marks[^1].Pages != mark.Pages))
                {
                    _marks.Add(mark);
                }
                await Task.Delay(Pace, _end.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException)
            {
                // It has ended, or the guest's console is gone with it.
                return;
            }
        }
    }
}
