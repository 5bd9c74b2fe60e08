using System.Diagnostics;
using Pollux.Core;
using Pollux.Lab.Layout;
using Pollux.Lab.Network;

namespace Pollux.Lab.Faults;

/// <summary>
/// The wires of the cluster's network (etcd, agents, replication) and what is wrong with them. Each call may be repeated: it leaves
/// what it found when that is what it wants. The guests' network is not concerned.
/// </summary>
public sealed class LabWires
{
    private const int MbitMost = 10_000;
    private readonly LabPlan _plan;

    internal LabWires(LabPlan plan) => _plan = plan;

    /// <summary>Each direction with which something is wrong.</summary>
    public Task<IReadOnlyList<WireFault>> ReadAsync(CancellationToken cancellation = default) => FaultyWires.ReadAsync(_plan.Lab, cancellation);

    /// <summary>No frame of <paramref name="a"/> reaches <paramref name="b"/> any more and, unless <paramref name="oneWay"/>, none the other way.</summary>
    public Task<StruckFault> CutAsync(string a, string b, bool oneWay = false, CancellationToken cancellation = default) =>
        ChangeAsync("cut", a, b, oneWay, f => f with { IsCut = true }, cancellation);

    /// <summary>At most so many Mbit/s pass, each way for itself.</summary>
    /// <param name="fifo">All frames wait in one queue; else those marked as network control go first.</param>
    public Task<StruckFault> SlowAsync(string a, string b, int mbit, bool fifo = false, CancellationToken cancellation = default) => mbit is >= 1 and <= MbitMost
        ? ChangeAsync("slow", a, b, false, f => f with { Mbit = mbit, IsFifo = fifo }, cancellation)
        : throw new PolluxException($"a wire cannot be slowed to {mbit} Mbit/s", $"choose 1 to {MbitMost}");

    /// <summary>Frames are lost at random, each way for itself.</summary>
    public Task<StruckFault> LoseAsync(string a, string b, double percent, CancellationToken cancellation = default) => percent is >= 0.01 and <= 100
        ? ChangeAsync("loss", a, b, false, f => f with { LossPercent = percent }, cancellation)
        : throw new PolluxException($"{percent} % of the frames cannot be lost", "choose 0.01 to 100, or mend it with 'pollux lab heal'");

    /// <summary>Both directions between two machines are in order again.</summary>
    public Task<StruckFault> HealAsync(string a, string b, CancellationToken cancellation = default) =>
        ChangeAsync("heal", a, b, false, f => new WireFault(f.From, f.To), cancellation);

    /// <summary>Every wire is in order again.</summary>
    public Task<StruckFault> HealAsync(CancellationToken cancellation = default) => WriteAsync("heal", "every wire", _ => [], cancellation);

    private Task<StruckFault> ChangeAsync(string name, string a, string b, bool oneWay, Func<WireFault, WireFault> change, CancellationToken cancellation)
    {
        var (from, to) = (_plan[a].Name, _plan[b].Name);
        if (from == to)
        {
            throw new PolluxException($"{a} has no wire to itself", "name two machines of the lab");
        }
        (HostId From, HostId To)[] directions = oneWay ? [(from, to)] : [(from, to), (to, from)];
        return WriteAsync(name, $"{a} {(oneWay ? "to" : "and")} {b}", before =>
        [
            .. before.Where(f => !directions.Contains((f.From, f.To))),
            .. directions.Select(d => change(before.FirstOrDefault(f => (f.From, f.To) == d) ?? new WireFault(d.From, d.To))).Where(f => !f.IsNone),
        ], cancellation);
    }

    private async Task<StruckFault> WriteAsync(string name, string where, Func<IReadOnlyList<WireFault>, IReadOnlyList<WireFault>> change, CancellationToken cancellation)
    {
        using var changing = await LabLock.TakeAsync(_plan.Lab, cancellation).ConfigureAwait(false);
        var before = await ReadAsync(cancellation).ConfigureAwait(false);
        var after = change(before);
        var (unixMs, ticks) = PreparedFault.Now();
        await FaultyWires.WriteAsync(_plan.Lab, _plan.Members, before, after, cancellation).ConfigureAwait(false);
        return new StruckFault(name, where, unixMs, ticks, Stopwatch.GetElapsedTime(ticks).TotalMilliseconds);
    }
}
