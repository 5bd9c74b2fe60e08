using System.Diagnostics;
using System.Globalization;
using Pollux.Core;
using Pollux.Lab.Hosts;

namespace Pollux.Lab.Bench.Modes;

/// <summary>How far a guest's rewriting loop has come, and when it was read (on the clock of <see cref="Stopwatch"/>).</summary>
public readonly record struct WorkMark(long Pages, long Ticks)
{
    public static double PerSecond(WorkMark from, WorkMark to) => (to.Pages - from.Pages) / Math.Max(1e-9, Stopwatch.GetElapsedTime(from.Ticks, to.Ticks).TotalSeconds);
}

/// <summary>Reads from outside how far a guest has come, so that its speed is told by the machine's clock and not by its own.</summary>
internal abstract class GuestWork
{
    /// <summary>A guest that does nothing for so long stands still, which is a result and no failure.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(2);

    /// <summary>The guest's count as it can be read now; null: it has not said any yet.</summary>
    protected abstract long? Read();

    /// <summary>The count as it stands now, with the moment; null: none was said yet.</summary>
    public WorkMark? Now() => Read() is { } pages ? new WorkMark(pages, Stopwatch.GetTimestamp()) : null;

    /// <summary>Waits until the loop has begun, which takes as long as the guest boots.</summary>
    /// <exception cref="PolluxException">It did not.</exception>
    public Task BegunAsync(TimeSpan patience, CancellationToken cancellation) =>
        Polling.UntilAsync(() => Read() > 0, patience, () => "the guest's rewriting loop does not begin; see its console", cancellation);

    /// <summary>The next count, at the moment at which it appears; of a guest that stands still, the last one.</summary>
    /// <exception cref="PolluxException">The guest never said any.</exception>
    public async Task<WorkMark> NextAsync(CancellationToken cancellation)
    {
        var begin = Stopwatch.GetTimestamp();
        var before = Read();
        while (Stopwatch.GetElapsedTime(begin) < Patience)
        {
            if (Read() is { } now && before is { } was && now != was)
            {
                return new WorkMark(now, Stopwatch.GetTimestamp());
            }
            before ??= Read();
            await Task.Delay(Pace, cancellation).ConfigureAwait(false);
        }
        return before is { } last ? new WorkMark(last, Stopwatch.GetTimestamp()) : throw new PolluxException("the guest's rewriting loop says nothing", "see the guest's console");
    }

    /// <summary>guest/redis/dirty.c says ten times a second on the console how many pages it has written, churn.c how many values it has set.</summary>
    internal sealed class OnConsole(string serialLog, string said = "dirty: ", string unit = " pages written") : GuestWork
    {
        private const int TailBytes = 4096;

        protected override long? Read()
        {
            using var log = new FileStream(serialLog, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            log.Seek(-Math.Min(TailBytes, log.Length), SeekOrigin.End);
            using var reader = new StreamReader(log, System.Text.Encoding.Latin1);
            var text = reader.ReadToEnd();
            // The last line that is whole.
            var end = text.LastIndexOf(unit, StringComparison.Ordinal);
            var begin = end < 0 ? -1 : text.LastIndexOf(said, end, StringComparison.Ordinal);
            return begin >= 0 && long.TryParse(text.AsSpan(begin + said.Length, end - begin - said.Length), CultureInfo.InvariantCulture, out var pages) ? pages : null;
        }
    }

    /// <summary>guest/boot32 counts its rounds in its RAM.</summary>
    internal sealed class InRam(string ramFile, int pagesPerRound) : GuestWork
    {
        private const long Rounds = 0x200008;

        protected override long? Read()
        {
            using var ram = File.OpenHandle(ramFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            Span<byte> rounds = stackalloc byte[4];
            return RandomAccess.Read(ram, rounds, Rounds) == 4 ? (long)System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(rounds) * pagesPerRound : null;
        }
    }
}
