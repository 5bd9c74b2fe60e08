using System.Globalization;
using Pollux.Core;
using Pollux.Lab.Bench.Modes;
using Pollux.Lab.Layout;
using Pollux.Lab.Migration;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench.Migration;

/// <summary>A guest of the benchmark on a link: what it rewrites is told in multiples of that link.</summary>
/// <param name="Name">idle, redis, rewrite-2x, phases, …</param>
/// <param name="Load">Of its kernel's command line.</param>
/// <param name="Counts">Whether it says how far it has come, and what: dirty or churn.</param>
/// <param name="HasPhases">Its load changes: each migration begins in the middle of its busy phase.</param>
public sealed record BenchGuest(string Name, double LinkMBps, long MemoryMiB, string Load, string? Counts, bool HasPhases = false)
{
    /// <summary>The link for which a guest has 256 MiB and rewrites 150 of them; on a faster one both grow, so that a pass takes as long.</summary>
    private const double BaseLinkMBps = 128;

    private const long BaseMemoryMiB = 256;
    private const double BaseDirtyMiB = 150;
    private const int PageBytes = 4096;

    /// <summary>What is written while it is quiet and while it is busy, five seconds each (guest/redis/dirty.c), of the link.</summary>
    private const double Quiet = 0.1;
    private const double Busy = 2;

    /// <summary>15,000 values of 4,000 bytes: what the guest's server may hold is 96 MB.</summary>
    private const string Churn = "15000:4000";

    public static IReadOnlyList<double> Multiples { get; } = [0.5, 0.8, 1.2, 2, 4];

    public static IReadOnlyList<BenchGuest> All(double linkMBps) => [Idle(linkMBps), Redis(linkMBps), .. Multiples.Select(m => Rewriting(m, linkMBps)), Phases(linkMBps)];

    public static BenchGuest Idle(double linkMBps) => new("idle", linkMBps, BaseMemoryMiB, "", null);

    /// <summary>A Redis whose values are set all over by a client in the same guest.</summary>
    public static BenchGuest Redis(double linkMBps) => new("redis", linkMBps, BaseMemoryMiB, $"pollux.churn={Churn}", "churn");

    public static BenchGuest Rewriting(double multiple, double linkMBps) =>
        new(string.Create(CultureInfo.InvariantCulture, $"rewrite-{multiple}x"), linkMBps, Scaled(linkMBps, BaseMemoryMiB), Dirty(linkMBps, multiple), "dirty");

    public static BenchGuest Phases(double linkMBps) => new("phases", linkMBps, Scaled(linkMBps, BaseMemoryMiB), Dirty(linkMBps, Quiet, Busy), "dirty", HasPhases: true);

    public MovableSpec Spec(string qemu)
    {
        var guests = Path.Combine(LabPrograms.Find().Root, ".cache/guests/redis");
        return new MovableSpec(new VmSpec(
            VmName.Create("bench"), 1, MemoryMiB << 20, "q35", "qemu64", Accelerator.Tcg, Path.Combine(guests, "vmlinuz"), Path.Combine(guests, "initrd.gz"),
            $"console=ttyS0 quiet {Load}".TrimEnd(), [], Availability.None, new FaultToleranceSpec()), qemu);
    }

    internal GuestWork? Work(MovableGuest guest) => Counts switch
    {
        "dirty" => new GuestWork.OnConsole(guest.Paths.Serial),
        "churn" => new GuestWork.OnConsole(guest.Paths.Serial, "churn: ", " values set"),
        _ => null,
    };

    private static long Scaled(double linkMBps, double mib) => (long)(mib * Math.Max(1, linkMBps / BaseLinkMBps));

    private static string Dirty(double linkMBps, params double[] multiples) => string.Create(
        CultureInfo.InvariantCulture, $"pollux.dirty={Scaled(linkMBps, BaseDirtyMiB)}:{string.Join('/', multiples.Select(m => (long)(m * linkMBps * 1e6 / PageBytes)))}");
}
