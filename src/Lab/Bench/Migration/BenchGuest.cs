using System.Globalization;
using Pollux.Core;
using Pollux.Lab.Bench.Modes;
using Pollux.Lab.Layout;
using Pollux.Lab.Migration;
using Pollux.Qemu.Spec;

namespace Pollux.Lab.Bench.Migration;

/// <summary>
/// A guest of the benchmark on a link. Those that rewrite memory are the 32-bit guest (guest/boot32), which runs under every KVM, and do it at a rate that is told in
/// multiples of the link; the others are Linux with Redis, under whatever accelerator runs Linux here.
/// </summary>
/// <param name="Name">idle, redis, rewrite-2x, phases, …</param>
/// <param name="CommandLine">Of its kernel.</param>
/// <param name="PagesPerRound">Of a guest that rewrites; 0: Linux.</param>
/// <param name="RoundsPerSpell">Of a guest whose load changes: each migration begins at the start of a busy spell. 0: it does not.</param>
public sealed record BenchGuest(string Name, double LinkMBps, long MemoryMiB, string CommandLine, int PagesPerRound, int RoundsPerSpell = 0)
{
    /// <summary>The link for which a guest has 256 MiB and rewrites 150 of them; on a faster one both grow, so that a pass takes as long.</summary>
    private const double BaseLinkMBps = 128;

    private const long BaseMemoryMiB = 256;
    private const double BaseDirtyMiB = 150;
    private const double BaseFilledMiB = 220;
    private const int PageBytes = 4096;
    private const int RoundMs = 4;

    /// <summary>What is written while it is quiet and while it is busy, five seconds each, of the link.</summary>
    private const double Quiet = 0.1;
    private const double Busy = 2;
    private const int SpellRounds = 5000 / RoundMs;

    /// <summary>15,000 values of 4,000 bytes: what the guest's server may hold is 96 MB.</summary>
    private const string Churn = "15000:4000";
    private const string ChurnArgument = "pollux.churn=";

    /// <summary>guest/boot32: where the number of rounds stands in its RAM.</summary>
    private const long RoundAt = 0x200008;

    public static IReadOnlyList<double> Multiples { get; } = [0.5, 0.8, 1.2, 2, 4];

    public static IReadOnlyList<BenchGuest> All(double linkMBps) => [Idle(linkMBps), Redis(linkMBps), .. Multiples.Select(m => Rewriting(m, linkMBps)), Phases(linkMBps)];

    public static BenchGuest Idle(double linkMBps) => new("idle", linkMBps, BaseMemoryMiB, "console=ttyS0 quiet", 0);

    /// <summary>A Redis whose values are set all over by a client in the same guest (guest/redis/churn.c).</summary>
    /// <param name="churn">KEYS:BYTES.</param>
    public static BenchGuest Redis(double linkMBps, string churn = Churn) => new("redis", linkMBps, BaseMemoryMiB, $"console=ttyS0 quiet {ChurnArgument}{churn}", 0);

    public static BenchGuest Rewriting(double multiple, double linkMBps)
    {
        var slice = Slice(linkMBps, multiple);
        return new BenchGuest(string.Create(CultureInfo.InvariantCulture, $"rewrite-{multiple}x"), linkMBps, Scaled(linkMBps, BaseMemoryMiB), $"slice={slice} {Common(linkMBps)}", slice);
    }

    public static BenchGuest Phases(double linkMBps) => new(
        "phases", linkMBps, Scaled(linkMBps, BaseMemoryMiB), $"slice={Slice(linkMBps, Quiet)} other={Slice(linkMBps, Busy)} every={SpellRounds} {Common(linkMBps)}",
        Slice(linkMBps, Busy), SpellRounds);

    private bool IsLinux => PagesPerRound == 0;

    public MovableSpec Spec(string qemu)
    {
        var guests = Path.Combine(LabPrograms.Find().Root, ".cache/guests");
        var kernel = Path.Combine(guests, IsLinux ? "redis/vmlinuz" : "boot32/boot32.elf");
        var accelerator = !IsLinux && File.Exists("/dev/kvm") ? Accelerator.Kvm : Accelerator.Tcg;
        return new MovableSpec(
            new VmSpec(
                VmName.Create("bench"), 1, MemoryMiB << 20, "q35", "qemu64", accelerator, kernel, IsLinux ? Path.Combine(guests, "redis/initrd.gz") : null, CommandLine, [], Availability.None,
                new FaultToleranceSpec()),
            qemu, IsLinux ? [] : ["-bios", "qboot.rom"]);
    }

    /// <summary>How far its own loop has come; null: it has none.</summary>
    internal GuestWork? Work(MovableGuest guest) => !IsLinux ? new GuestWork.InRam(guest.Paths.RamFile, PagesPerRound)
        : CommandLine.Contains(ChurnArgument, StringComparison.Ordinal) ? new GuestWork.OnConsole(guest.Paths.Serial, "churn: ", " values set")
        : null;

    /// <summary>Whether it is in the first tenth of a busy spell.</summary>
    public bool HasJustBecomeBusy(MovableGuest guest)
    {
        var round = System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(guest.Ram.Span(RoundAt, 4)) % (2 * (uint)RoundsPerSpell);
        return round >= RoundsPerSpell && round < RoundsPerSpell * 1.1;
    }

    /// <summary>A round's time in 1,024 cycles of this machine. The guest is always busy, as one that writes so much is, and so it slows down when it is held back.</summary>
    private static int SpinKilocycles { get; } = (int)(MHz() * 1000 * RoundMs / 1024);

    private static double MHz()
    {
        const double usual = 2500;
        var line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("cpu MHz", StringComparison.Ordinal));
        return double.TryParse(line?.Split(':')[1], CultureInfo.InvariantCulture, out var mhz) ? mhz : usual;
    }

    private static string Common(double linkMBps) => $"mib={Scaled(linkMBps, BaseDirtyMiB)} fill={Scaled(linkMBps, BaseFilledMiB)} spin={SpinKilocycles}";

    private static long Scaled(double linkMBps, double mib) => (long)(mib * Math.Max(1, linkMBps / BaseLinkMBps));

    private static int Slice(double linkMBps, double multiple) => (int)Math.Round(multiple * linkMBps * 1e6 / PageBytes * RoundMs / 1000);
}
