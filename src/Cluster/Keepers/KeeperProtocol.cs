using System.Text.Json.Serialization;
using Pollux.Core;
using Pollux.Replication.Pair;

namespace Pollux.Cluster.Keepers;

/// <summary>
/// A request to a keeper over its control socket (<c>keeper.sock</c> in the run directory): one line of JSON each way,
/// any number in turn on a connection.
/// </summary>
/// <param name="Do">status, protectable (an error when its QEMU could not be checkpointed), protect, unprotect, takeover, migrate, migrate-cancel, set, stop.</param>
/// <param name="Standby">protect, migrate: whom to connect to.</param>
/// <param name="Settings">set: what to change; absent members stay.</param>
/// <param name="Force">stop: kill instead of asking the guest to power down.</param>
/// <param name="Migration">migrate: how.</param>
public sealed record KeeperRequest(string Do, StandbyTarget? Standby = null, ProtectionSettings? Settings = null, bool Force = false, MigrationSettings? Migration = null);

/// <summary>How a VM shall move. What is null is the default.</summary>
/// <param name="Policy">mp, stock, relaxed, capped, auto-converge, doubling or ramp.</param>
/// <param name="MaxPauseMs">The longest pause that the user allows.</param>
/// <param name="DeadlineSeconds">Then it is given up, and the VM runs on where it is.</param>
/// <param name="BytesPerSecond">The most that may go over the link.</param>
/// <param name="DowntimeLimitMs">Of relaxed: QEMU's own limit.</param>
/// <param name="WhenLonger">throttle, wait or give-up: when the pause cannot be kept.</param>
public sealed record MigrationSettings(string? Policy = null, int? MaxPauseMs = null, int? DeadlineSeconds = null, long? BytesPerSecond = null, string? WhenLonger = null, int? DowntimeLimitMs = null)
{
    public const int DefaultMaxPauseMs = 500;
    public const int DefaultDeadlineSeconds = 600;

    public const int LeastMaxPauseMs = 100;

    /// <summary>What a pause has beside the pages that are left: device state, loading and the swap of the role.</summary>
    public const int PauseOverheadMs = 60;

    /// <exception cref="PolluxException">A figure is none.</exception>
    public void Check()
    {
        Require("--max-pause", MaxPauseMs, LeastMaxPauseMs, 600_000, "ms");
        Require("--deadline", DeadlineSeconds, 1, 86_400, "s");
        Require("--bandwidth", BytesPerSecond / 1_000_000, 1, 100_000, "MB/s");
        Require("--downtime-limit", DowntimeLimitMs, 1, 2_000_000, "ms");
        if (DowntimeLimitMs is not null && Policy != "relaxed")
        {
            throw new PolluxException("--downtime-limit is of the policy relaxed", "leave it out, or add --policy relaxed; the longest pause is --max-pause");
        }
    }

    private static void Require(string what, long? value, long least, long most, string unit)
    {
        if (value is { } given && (given < least || given > most))
        {
            throw new PolluxException($"{what} cannot be {given} {unit}", $"choose {least} to {most} {unit}");
        }
    }
}

/// <summary>A standby keeper as the primary reaches it.</summary>
public sealed record StandbyTarget(HostId Host, Incarnation Incarnation, string Address, int Port);

/// <summary>What may be changed while a VM runs. Null: unchanged. See the spec's <c>faultTolerance</c> section for meanings.</summary>
public sealed record ProtectionSettings(string? Trigger = null, string? Transmission = null, int? IntervalMs = null, int? FloorMs = null, int? DetectionMs = null,
    string? Compression = null)
{
    /// <summary>These, changed by others.</summary>
    public ProtectionSettings With(ProtectionSettings change) => new(
        change.Trigger ?? Trigger, change.Transmission ?? Transmission, change.IntervalMs ?? IntervalMs, change.FloorMs ?? FloorMs, change.DetectionMs ?? DetectionMs,
        change.Compression ?? Compression);
}

/// <summary>The answer: <see cref="Error"/> is null when it was done. takeover answers when it is over.</summary>
public sealed record KeeperResponse(string? Error, KeeperStatus? Status);

/// <summary>The state of one keeper. Times in milliseconds, sizes in bytes.</summary>
/// <param name="Side">primary, standby, or destination of a VM that moves here.</param>
/// <param name="Phase">starting, running, moving, arriving, syncing, protected, holding, taking, standby-preparing, standby-syncing, standby-ready, stopping.</param>
/// <param name="HasArbiter">A majority of etcd has answered this keeper within the last seconds; without it a swap of the role waits.</param>
/// <param name="Note">The reason in plain words: why it is not protected, or what it waits for.</param>
public sealed record KeeperStatus(
    VmName Vm, HostId Host, Incarnation Incarnation, int Pid, int? QemuPid,
    string Side, string Phase, string Note, Role? Role,
    string QemuVersion, string Accelerator,
    CheckpointStatus Checkpoints, BufferStatus Buffers, NetworkStatus Network, TakeoverStatus? LastTakeover, ProtectionSettings Settings, bool HasArbiter = true,
    ScrubStatus? Scrub = null, ShippingStatus? Shipping = null, MigrationStatus? Migration = null);

[JsonConverter(typeof(JsonStringEnumConverter<MigrationState>))]
public enum MigrationState
{
    /// <summary>Under way; the VM runs at its source, or is stopped for the rest of it.</summary>
    [JsonStringEnumMemberName("moving")] Moving,

    /// <summary>The VM runs at its destination.</summary>
    [JsonStringEnumMemberName("done")] Done,

    /// <summary>Given up: the VM runs on at its source.</summary>
    [JsonStringEnumMemberName("failed")] Failed,
}

/// <summary>A live migration: the one under way, or the last one of this keeper. Times in milliseconds.</summary>
/// <param name="LeftMs">How long it is believed to take still; null: it does not converge as it goes.</param>
/// <param name="Why">What the policy thinks; failed: why.</param>
/// <param name="PauseMs">Done: for how long the guest stood still.</param>
/// <param name="WaitsFor">Moving: what the guest, stopped for the rest of it, waits for; null while it runs.</param>
public sealed record MigrationStatus(
    MigrationState State, string Policy, HostId From, HostId To, double ElapsedMs, long Iteration, long SentBytes, long RemainingBytes, double BytesPerSecond,
    double PredictedPauseMs, double? LeftMs, int ThrottlePercent, string Why, double? PauseMs = null, string? WaitsFor = null);

/// <summary>Pauses are QMP RESUME minus STOP. Rates and percentiles are of the last <see cref="WindowSeconds"/>, or of what there has been of them since the settings were last changed.</summary>
/// <param name="Count">Cuts of this protection, the first copy not counted.</param>
/// <param name="LagMs">The age of the last committed cut: what the guest did since then a takeover would undo, unseen by the world.</param>
/// <param name="UncommittedBytes">Pages in cuts that are on their way.</param>
/// <param name="Pauses">All pauses of this protection, counted by length.</param>
public sealed record CheckpointStatus(
    long Count, long Committed, double PerSecond, Percentiles PauseMs, Percentiles Pages, double LagMs = 0, long UncommittedBytes = 0, PauseHistogram? Pauses = null)
{
    public const int WindowSeconds = 60;
}

/// <summary>Pauses by length.</summary>
/// <param name="Counts">How many were not longer than each of <see cref="UpperMs"/> but longer than the one before; the last: longer than all.</param>
public sealed record PauseHistogram(IReadOnlyList<long> Counts, double SumMs)
{
    public static IReadOnlyList<double> UpperMs { get; } = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

    public static int BucketOf(double ms)
    {
        var bucket = 0;
        while (bucket < UpperMs.Count && ms > UpperMs[bucket])
        {
            bucket++;
        }
        return bucket;
    }
}

public sealed record Percentiles(double P50, double P99, double Max);

/// <summary>The comparison of the standby's memory with the primary's; null while nobody stands by.</summary>
/// <param name="Pages">Primary: hashed at cuts of this protection. Standby: compared.</param>
/// <param name="Rounds">Primary: how often all of the RAM was hashed.</param>
/// <param name="Alarms">How often a standby was found wrong, and thrown away for it, since this keeper began.</param>
/// <param name="LastAlarm">What was found the last time.</param>
public sealed record ScrubStatus(long Pages, long Rounds, long Alarms, string? LastAlarm, double? LastAlarmUnixMs);

/// <summary>What became of the pages of this protection's epochs after the first copy; null while nobody stands by. Sent as captured, no page is counted.</summary>
/// <param name="CapturedBytes">RAM as QEMU gave it.</param>
/// <param name="ShippedBytes">Of it on the link.</param>
/// <param name="UnchangedPages">Not sent: the standby has them.</param>
/// <param name="ZeroPages">Sent as a note.</param>
/// <param name="PartPages">Of which the parts were sent that had changed.</param>
/// <param name="TableBytes">Memory that it costs: hashes of what was sent.</param>
/// <param name="ShippedBytesPerSecond">In the last <see cref="CheckpointStatus.WindowSeconds"/>.</param>
public sealed record ShippingStatus(long CapturedBytes, long ShippedBytes, long UnchangedPages, long ZeroPages, long PartPages, long WholePages, long TableBytes,
    double CapturedBytesPerSecond = 0, double ShippedBytesPerSecond = 0, LinkStatus? Link = null);

/// <summary>What the epochs' memory and device state took on the link, with the headers of frames, without TLS.</summary>
/// <param name="IsCompressing">Memory that goes out is compressed now.</param>
/// <param name="Bytes">After the first copy, had nothing been compressed.</param>
/// <param name="SentBytes">After the first copy, as it was sent.</param>
/// <param name="FirstBytes">The first copy, had nothing been compressed.</param>
/// <param name="FirstSentBytes">The first copy, as it was sent.</param>
/// <param name="CannotCompress">Why it is never compressed, whatever the settings say; null: it may be.</param>
public sealed record LinkStatus(
    bool IsCompressing, long Bytes, long SentBytes, long FirstBytes, long FirstSentBytes,
    long MemoryFrames, long DeviceFrames, long CompressedMemoryFrames, long CompressedDeviceFrames, double SentBytesPerSecond = 0, string? CannotCompress = null);

/// <summary>The memory of a primary's epochs on their way.</summary>
/// <param name="PeakBytes">The most that was used at once in the last sixteen checkpoints that are over.</param>
/// <param name="TargetBytes">What is kept in view of such peaks; 0: none has been seen yet.</param>
public sealed record BufferStatus(long UsedBytes, long AllocatedBytes, long CeilingBytes, long WaitedForSpace, long PeakBytes = 0, long TargetBytes = 0);

public sealed record NetworkStatus(long EgressHeldFrames, long EgressReleasedFrames, long EgressDroppedFrames, long IngressFrames, long ReplayedFrames, long RepeatedFrames = 0,
    string? Failure = null);

/// <summary>The last takeover that this keeper won. Unix times are in milliseconds with fraction.</summary>
public sealed record TakeoverStatus(string Reason, double DetectMs, double ArbitrateMs, double ResumeMs, double DecidedUnixMs, double GateOpenUnixMs, long Epoch);

/// <summary>JSON of the agent's files and the control socket, camelCase.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(KeeperConfig))]
[JsonSerializable(typeof(KeeperRequest))]
[JsonSerializable(typeof(KeeperResponse))]
[JsonSerializable(typeof(KeeperStatus))]
public sealed partial class KeeperJson : JsonSerializerContext;
