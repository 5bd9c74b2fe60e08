using System.Text.Json;
using System.Text.Json.Nodes;
using Pollux.Migration.Policies;
using Pollux.Qemu.Qmp;

namespace Pollux.Migration.Watching;

/// <summary>
/// Finds out, while the destination is made ready, what a guest writes in a second and how much of its RAM is in use. QEMU reads a sample of its pages twice, a second
/// apart, and compares (<c>calc-dirty-rate</c>, page-sampling, since QEMU 5.2): the guest is not slowed down and no dirty log is needed. A page that is
/// rewritten with what was there already does not count. What is in use is estimated from a sample of the file that is its RAM.
/// </summary>
public static class GuestWatch
{
    private const double MiB = 1 << 20;

    /// <summary>For each GiB: a thirty-second part of its pages.</summary>
    private const int SamplePages = 8192;

    /// <summary>16 MiB are read; the standard error is at most 0.8 %.</summary>
    private const int UsedSamples = 4096;

    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    /// <summary>Takes about a second. What cannot be found out stays as it was in <paramref name="terms"/>: no migration fails for it.</summary>
    /// <param name="ramFile">The file that QEMU shares as the guest's RAM; null: how much is in use is not asked.</param>
    public static async Task<MigrationTerms> AddToAsync(MigrationTerms terms, QmpSession qmp, string? ramFile, CancellationToken cancellation)
    {
        var written = await WrittenInASecondAsync(qmp, cancellation).ConfigureAwait(false);
        var used = ramFile is null ? null : UsedBytes(ramFile, terms.RamBytes, new Random());
        return terms with
        {
            WatchedDirtyBytesPerSecond = written ?? terms.WatchedDirtyBytesPerSecond,
            UsedBytes = used ?? terms.UsedBytes,
        };
    }

    /// <summary>Null: QEMU does not measure, or not now.</summary>
    private static async Task<double?> WrittenInASecondAsync(QmpSession qmp, CancellationToken cancellation)
    {
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            patience.CancelAfter(Patience);
            await qmp.ExecuteAsync("calc-dirty-rate", new JsonObject { ["calc-time"] = 1, ["sample-pages"] = SamplePages }, patience.Token).ConfigureAwait(false);
            while (true)
            {
                await Task.Delay(LookAgain, patience.Token).ConfigureAwait(false);
                var answer = await qmp.ExecuteAsync("query-dirty-rate", null, patience.Token).ConfigureAwait(false);
                if (answer.GetProperty("status").ValueEquals("measured"))
                {
                    return answer.TryGetProperty("dirty-rate", out var rate) && rate.GetInt64() is >= 0 and var mib ? mib * MiB : null;
                }
            }
        }
        catch (Exception e) when (e is QmpCommandException or JsonException or KeyNotFoundException or OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>What is not zero, by sampling, and twice the standard error more. Reading a hole of the file does not fill it. Null: the file cannot be read.</summary>
    internal static long? UsedBytes(string ramFile, long ramBytes, Random random)
    {
        const int pageBytes = DirtyLooks.PageBytes;
        try
        {
            using var file = File.OpenHandle(ramFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            var pages = ramBytes / pageBytes;
            var page = new byte[pageBytes];
            var used = 0;
            for (var n = 0; n < UsedSamples; n++)
            {
                var length = RandomAccess.Read(file, page, random.NextInt64(pages) * pageBytes);
                used += page.AsSpan(0, length).ContainsAnyExcept((byte)0) ? 1 : 0;
            }
            var share = (double)used / UsedSamples;
            var error = Math.Sqrt(share * (1 - share) / UsedSamples);
            return (long)(ramBytes * Math.Min(1, share + (2 * error) + (1.0 / UsedSamples)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
