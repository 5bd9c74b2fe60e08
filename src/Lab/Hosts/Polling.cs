using System.Diagnostics;
using Pollux.Core;

namespace Pollux.Lab.Hosts;

/// <summary>Waiting for what other processes do and nobody announces.</summary>
public static class Polling
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(10);

    /// <summary>Asks until the answer is yes.</summary>
    /// <exception cref="PolluxException">The deadline passed; <paramref name="complaint"/> says what was waited for.</exception>
    public static Task UntilAsync(Func<bool> isSo, TimeSpan deadline, Func<string> complaint, CancellationToken cancellation = default) =>
        UntilAsync(_ => Task.FromResult(isSo()), deadline, complaint, cancellation);

    /// <inheritdoc cref="UntilAsync(Func{bool}, TimeSpan, Func{string}, CancellationToken)"/>
    public static async Task UntilAsync(Func<CancellationToken, Task<bool>> isSo, TimeSpan deadline, Func<string> complaint, CancellationToken cancellation = default)
    {
        var begin = Stopwatch.GetTimestamp();
        while (!await isSo(cancellation).ConfigureAwait(false))
        {
            if (Stopwatch.GetElapsedTime(begin) > deadline)
            {
                throw new PolluxException($"{complaint()} (waited {deadline.TotalSeconds:0.#} s)");
            }
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
        }
    }
}
