using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Lab.Vms;

namespace Pollux.Lab.Torture;

/// <summary>A whole torture: a lab of its own, the rounds of a schedule in turn, and a fresh lab after each round that failed.</summary>
/// <param name="options">What the lab is built with; null: the usual.</param>
public sealed class TortureRun(LabName name, ulong seed, string? specFile, IProgress<string> progress, LabOptions? options = null) : IAsyncDisposable
{
    private const string Owner = "torture";
    private TortureLab? _lab;
    private bool _isOurs;

    /// <summary>Plays the rounds; each verdict is told as it comes.</summary>
    public async Task<TortureReport> PlayAsync(IReadOnlyList<TortureRound> rounds, Action<TortureVerdict> told, CancellationToken cancellation)
    {
        var verdicts = new List<TortureVerdict>();
        foreach (var round in rounds)
        {
            _lab ??= await PrepareAsync(cancellation).ConfigureAwait(false);
            var verdict = await new TortureRunner(_lab, seed).PlayAsync(round, cancellation).ConfigureAwait(false);
            verdicts.Add(verdict);
            told(verdict);
            if (!verdict.IsClean)
            {
                _lab = null;
            }
        }
        return TortureReport.Of(seed, verdicts);
    }

    /// <summary>Removes the lab if this made it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isOurs)
        {
            await LabCluster.DownAsync(name).ConfigureAwait(false);
        }
    }

    private async Task<TortureLab> PrepareAsync(CancellationToken cancellation)
    {
        await LabCluster.DownOwnAsync(name, Owner, cancellation).ConfigureAwait(false);
        _isOurs = true;
        var cluster = await LabCluster.UpAsync(name, (options ?? new LabOptions()) with { Owner = Owner }, progress, cancellation).ConfigureAwait(false);
        var spec = await RedisGuest.ReadSpecAsync(specFile ?? RedisGuest.SpecFileOf(cluster), cancellation).ConfigureAwait(false);
        return await TortureLab.PrepareAsync(cluster, spec, progress, cancellation).ConfigureAwait(false);
    }
}
