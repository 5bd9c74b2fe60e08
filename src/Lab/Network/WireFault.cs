using System.Globalization;
using Pollux.Core;

namespace Pollux.Lab.Network;

/// <summary>What happens to the frames from one machine to another on the cluster's network.</summary>
/// <param name="IsCut">None arrives; nobody is told.</param>
/// <param name="Mbit">At most this many Mbit/s arrive; null: as fast as it goes.</param>
/// <param name="IsFifo">A slow wire has one queue for all; else frames marked as network control go first, as in most switches.</param>
/// <param name="LossPercent">So many of a hundred, chosen at random, do not arrive; null: none is lost.</param>
public sealed record WireFault(HostId From, HostId To, bool IsCut = false, int? Mbit = null, double? LossPercent = null, bool IsFifo = false)
{
    /// <summary>Nothing is wrong with this wire.</summary>
    public bool IsNone => !IsCut && Mbit is null && LossPercent is null;

    /// <summary>In words, as seen from <see cref="From"/>.</summary>
    public IEnumerable<string> Words() =>
    [
        .. IsCut ? [$"cut to {To}"] : Array.Empty<string>(),
        .. Mbit is { } mbit ? [$"{mbit} Mbit/s{(IsFifo ? ", in one queue," : "")} to {To}"] : Array.Empty<string>(),
        .. LossPercent is { } loss ? [string.Create(CultureInfo.InvariantCulture, $"{loss} % lost to {To}")] : Array.Empty<string>(),
    ];
}
