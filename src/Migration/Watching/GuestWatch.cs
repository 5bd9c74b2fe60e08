using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Pollux.Migration.Policies;
using Pollux.Qemu.Qmp;

namespace Pollux.Migration.Watching;

/// <summary>
/// Finds out, while the destination is made ready, what a guest writes in a second and how much of its RAM is in use. QEMU reads a sample of its pages twice, a second
/// apart, and compares (<c>calc-dirty-rate</c>, page-sampling, since QEMU 5.2): the guest is not slowed down and no dirty log is needed. A page that is
/// rewritten with what was there already does not count.
/// </summary>
public static class GuestWatch
{
    private const double MiB = 1 << 20;

    /// <summary>For each GiB: a thirty-second part of its pages.</summary>
    private const int SamplePages = 8192;

    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    /// <summary>Takes about a second. What cannot be found out stays as it was in <paramref name="terms"/>: no migration fails for it.</summary>
    /// <param name="qemuProcess">The id of QEMU's process; null: how much is in use is not asked.</param>
    public static async Task<MigrationTerms> AddToAsync(MigrationTerms terms, QmpSession qmp, int? qemuProcess, CancellationToken cancellation)
    {
        var written = await WrittenInASecondAsync(qmp, cancellation).ConfigureAwait(false);
        var resident = qemuProcess is { } id ? ResidentBytes(id) : null;
        return terms with
        {
            WatchedDirtyBytesPerSecond = written ?? terms.WatchedDirtyBytesPerSecond,
            ResidentBytes = resident is { } bytes ? Math.Min(bytes, terms.RamBytes) : terms.ResidentBytes,
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

    /// <summary>Of the process, swapped out included; somewhat more than of its guest.</summary>
    internal static long? ResidentBytes(int process)
    {
        try
        {
            return ResidentBytes(File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/status")));
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <param name="status">The lines of <c>/proc/PID/status</c> (proc(5)).</param>
    internal static long? ResidentBytes(IEnumerable<string> status)
    {
        const long kib = 1024;
        long? sum = null;
        foreach (var line in status)
        {
            if (line.Split(':', 2) is ["RssAnon" or "RssShmem" or "VmSwap", var value]
                && long.TryParse(value.Replace("kB", "", StringComparison.Ordinal), NumberStyles.Integer, CultureInfo.InvariantCulture, out var kilobytes))
            {
                sum = (sum ?? 0) + (kilobytes * kib);
            }
        }
        return sum;
    }
}
