using Pollux.Cluster.Keepers;

namespace Pollux.Lab.Bench.Modes;

/// <summary>A way of running a guest that is compared with the others.</summary>
public abstract record Mode(string Name)
{
    private static readonly string[] Places = ["unprotected", "periodic", "on-output", "adaptive", "periodic, synchronous", "on-output, synchronous", "COLO"];

    /// <summary>Where a mode stands in tables and legends: COLO with whatever interval after COLO without, and with delayed acknowledgements after that.</summary>
    public static int PlaceOf(string mode) => Array.IndexOf(Places, mode) is >= 0 and var place
        ? place
        : mode.EndsWith("delayed ACKs", StringComparison.Ordinal) ? Places.Length + 1 : Places.Length;

    /// <summary>Pollux's keeper owns the guest, and nobody stands by.</summary>
    public sealed record Unprotected() : Mode("unprotected");

    /// <summary>Protected by Pollux.</summary>
    /// <param name="Trigger">periodic (Remus, Micro-Checkpointing), on-output (Kemari), adaptive.</param>
    /// <param name="Transmission">postponed (PMT), or synchronous: the guest stays stopped until the standby has acknowledged.</param>
    public sealed record Pollux(string Trigger, string Transmission)
        : Mode(Transmission == "postponed" ? Trigger : $"{Trigger}, {Transmission}")
    {
        public ProtectionSettings Settings(int intervalMs) => new(Trigger, Transmission, intervalMs);
    }

    /// <summary>Two stock QEMUs, as QEMU's docs/COLO-FT.txt describes it, without disks.</summary>
    /// <param name="DelayMs">x-checkpoint-delay; null: QEMU's default of 20 s, so that only differing packets make a checkpoint.</param>
    /// <param name="DelayedAcks">
    /// TCP as a host has it. QEMU 7.2 sends COLO's small messages without TCP_NODELAY, and each waits 40 ms for an acknowledgement; else both hosts
    /// acknowledge at once (quickack on the route), which is the best that COLO can have.
    /// </param>
    public sealed record Colo(int? DelayMs, bool DelayedAcks = false)
        : Mode($"COLO{(DelayMs is { } ms ? $", {ms} ms" : "")}{(DelayedAcks ? ", delayed ACKs" : "")}");
}

/// <summary>What a guest does meanwhile.</summary>
/// <param name="Clients">Redis clients in a closed loop; 0: one that asks twenty times a second, to see the round trip of a guest that is quiet.</param>
/// <param name="PagesPerSecond">Pages that the guest rewrites; 0: it has no such loop.</param>
public sealed record ModeLoad(string Name, GuestKind Guest, int IntervalMs, int Clients, int PagesPerSecond)
{
    public const int QuietRequestsPerSecond = 20;
    private const int PageBytes = 4096;
    private const int MB = 1_000_000;
    private const int LinuxIntervalMs = 100;
    private const int KvmIntervalMs = 50;

    public bool IsIdle => Guest == GuestKind.Linux && Clients == 0 && PagesPerSecond == 0;

    public bool IsRedis => Clients > 0;

    public bool IsKvm => Guest == GuestKind.Boot32;

    public static ModeLoad Idle { get; } = new("idle", GuestKind.Linux, LinuxIntervalMs, 0, 0);

    public static ModeLoad Redis(int clients) => new($"Redis, {clients} client{(clients == 1 ? "" : "s")}", GuestKind.Linux, LinuxIntervalMs, clients, 0);

    /// <summary>The Linux guest rewrites a word of so many pages a second.</summary>
    public static ModeLoad Rewriting(int mbPerSecond) => new($"rewriting {mbPerSecond} MB/s", GuestKind.Linux, LinuxIntervalMs, 0, mbPerSecond * MB / PageBytes);

    /// <summary>The 32-bit guest rewrites so much, under KVM: the pages that make up this rate at one checkpoint every 50 ms, again and again.</summary>
    public static ModeLoad RewritingUnderKvm(int mbPerSecond) => new($"KVM, rewriting {mbPerSecond} MB/s", GuestKind.Boot32, KvmIntervalMs, 0, mbPerSecond * MB / PageBytes);

    /// <summary>boot32: pages that it rewrites in each round.</summary>
    public int PagesPerRound => PagesPerSecond * IntervalMs / 1000;

    /// <summary>The modes that are compared under this load; unprotected is the first.</summary>
    public IReadOnlyList<Mode> Modes => IsKvm
        ? [new Mode.Unprotected(), new Mode.Pollux("periodic", "postponed"), new Mode.Pollux("periodic", "synchronous"), new Mode.Colo(IntervalMs), new Mode.Colo(IntervalMs, DelayedAcks: true)]
        :
        [
            new Mode.Unprotected(), new Mode.Pollux("periodic", "postponed"), new Mode.Pollux("on-output", "postponed"), new Mode.Pollux("adaptive", "postponed"),
            new Mode.Pollux("periodic", "synchronous"), new Mode.Pollux("on-output", "synchronous"),
            new Mode.Colo(null), new Mode.Colo(IntervalMs), new Mode.Colo(IntervalMs, DelayedAcks: true),
        ];
}

/// <summary>Which guest runs.</summary>
public enum GuestKind
{
    /// <summary>The Redis guest: where a CPU can run no 64-bit guest in hardware, under TCG.</summary>
    Linux,

    /// <summary>guest/boot32, under KVM.</summary>
    Boot32,
}
