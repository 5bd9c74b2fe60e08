using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

namespace Pollux.Cluster.Store;

/// <summary>
/// A watch that first gives what is there, then each change after it, without a gap. The stream comes from one member; when
/// that member closes it, or has had no quorum for <see cref="SilenceLimit"/> (it may be frozen, and its kernel go on
/// acknowledging), another member goes on from the last revision seen.
/// </summary>
internal sealed class EtcdWatch(IReadOnlyList<EtcdMember> members, EtcdStore store, TimeProvider clock)
{
    private const int LineBytesMax = 32 << 20;

    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan HealthCheckEvery = TimeSpan.FromMilliseconds(500);

    /// <summary>Throws <see cref="StoreUnavailableException"/> when no member carries the watch on, or history was compacted away.</summary>
    internal async IAsyncEnumerable<StoreChange> ChangesAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var (key, end) = (EtcdKey.Of(prefix), EtcdKey.EndOfPrefix(prefix));
        var present = await store.RangeAsync(new RangeRequest(key, end), cancellation).ConfigureAwait(false);
        foreach (var kv in present.Kvs ?? [])
        {
            var entry = kv.ToEntry();
            yield return new StoreChange(entry.Key, entry.Value, entry.ModRevision);
        }

        var revision = present.Header?.Revision ?? 0;
        var failedInTurn = 0;
        while (failedInTurn <= members.Count)
        {
            var member = members.OrderBy(m => m.SinceAnswer).ElementAt(failedInTurn % members.Count);
            failedInTurn++;
            await foreach (var answer in LinesAsync(member, new WatchCreate(key, end, revision + 1), cancellation).ConfigureAwait(false))
            {
                if (answer.Canceled)
                {
                    throw new StoreUnavailableException($"the watch on {prefix} was cancelled ({answer.CancelReason}, compacted at {answer.CompactRevision})");
                }

                failedInTurn = 0;
                foreach (var change in answer.Events ?? [])
                {
                    revision = Math.Max(revision, change.Kv.ModRevision);
                    yield return new StoreChange(
                        Encoding.UTF8.GetString(change.Kv.Key),
                        change.Type == "DELETE" ? null : Encoding.UTF8.GetString(change.Kv.Value ?? []),
                        change.Kv.ModRevision);
                }
            }
        }

        throw new StoreUnavailableException($"no member carries the watch on {prefix}");
    }

    /// <summary>One member's stream; ends without an exception when that member fails.</summary>
    private async IAsyncEnumerable<WatchAnswer> LinesAsync(
        EtcdMember member, WatchCreate create, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var opening = new CancellationTokenSource(store.CallDeadline, clock);
        using var silent = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var openEnd = CancellationTokenSource.CreateLinkedTokenSource(opening.Token, silent.Token);
        using var guard = clock.CreateTimer(_ => CancelWhenSilent(member, silent), null, SilenceLimit, HealthCheckEvery);

        HttpResponseMessage response;
        try
        {
            response = await member.SendAsync("v3/watch", new WatchRequest(create), EtcdJson.Default.WatchRequest, openEnd.Token).ConfigureAwait(false);
        }
        catch (EtcdFailure)
        {
            cancellation.ThrowIfCancellationRequested();
            yield break;
        }

        using (response)
        {
            var reader = new LineReader(await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false), LineBytesMax);
            while (await NextAsync(reader, silent.Token).ConfigureAwait(false) is { } answer)
            {
                yield return answer;
            }
        }

        cancellation.ThrowIfCancellationRequested();
    }

    private static async Task<WatchAnswer?> NextAsync(LineReader reader, CancellationToken end)
    {
        try
        {
            var line = await reader.ReadAsync(end).ConfigureAwait(false);
            return line is null ? null : JsonSerializer.Deserialize(line.Value.Span, EtcdJson.Default.WatchLine)?.Result;
        }
        catch (Exception e) when (e is IOException or HttpRequestException or OperationCanceledException or JsonException or InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>Health is known only while somebody calls the members; without any answer at all the watch is left alone.</summary>
    private void CancelWhenSilent(EtcdMember member, CancellationTokenSource silent)
    {
        if (member.SinceAnswer > SilenceLimit && members.Any(m => m.SinceAnswer < SilenceLimit))
        {
            try
            {
                silent.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The watch ended while the timer fired.
            }
        }
    }
}
