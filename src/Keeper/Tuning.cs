using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Qemu.Spec;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;

namespace Pollux.Keeper;

/// <summary>The settings of protection as they are now: the spec's, changed by the user while the VM runs. Immutable.</summary>
internal sealed record Tuning(Trigger Trigger, Transmission Transmission, int IntervalMs, int FloorMs, int DetectionMs, int DirtyPagesEarly, int HeartbeatMs, CompressionMode Compression)
{
    public TriggerSettings TriggerSettings => new(Trigger, FloorMs, IntervalMs, DirtyPagesEarly);

    public static Tuning Of(FaultToleranceSpec spec) => new(
        TriggerOf(spec.Trigger), TransmissionOf(spec.Transmission), spec.IntervalMs, spec.FloorMs, spec.DetectionMs, spec.DirtyPagesEarly, spec.HeartbeatMs,
        CompressionModes.Of(spec.Compression));

    /// <exception cref="PolluxException">A value is no setting or out of its range.</exception>
    public Tuning With(ProtectionSettings change)
    {
        var tuning = Take(change);
        if (!FaultToleranceRanges.HasHeartbeatsEnough(tuning.HeartbeatMs, tuning.DetectionMs))
        {
            throw new PolluxException($"detection would be {tuning.DetectionMs} ms with a heartbeat every {tuning.HeartbeatMs} ms", $"allow for at least three heartbeats: {3 * tuning.HeartbeatMs} ms");
        }
        return tuning is { Trigger: Trigger.Adaptive } && tuning.FloorMs > tuning.IntervalMs
            ? throw new PolluxException(
                $"the shortest run between two checkpoints would be {tuning.FloorMs} ms, and the longest {tuning.IntervalMs} ms", "choose a floor that is not above the interval")
            : tuning;
    }

    private Tuning Take(ProtectionSettings change) => this with
    {
        Trigger = change.Trigger is { } trigger ? TriggerOf(trigger) : Trigger,
        Transmission = change.Transmission is { } transmission ? TransmissionOf(transmission) : Transmission,
        IntervalMs = Within("interval", change.IntervalMs ?? IntervalMs, FaultToleranceRanges.Interval),
        FloorMs = Within("floor", change.FloorMs ?? FloorMs, FaultToleranceRanges.Floor),
        DetectionMs = Within("detection", change.DetectionMs ?? DetectionMs, FaultToleranceRanges.Detection),
        Compression = change.Compression is { } compression ? CompressionModes.Of(compression) : Compression,
    };

    public ProtectionSettings ToSettings() => new(NameOf(Trigger), NameOf(Transmission), IntervalMs, FloorMs, DetectionMs, Compression.Name());

    private static Trigger TriggerOf(string name) => name switch
    {
        "periodic" => Trigger.Periodic,
        "on-output" => Trigger.OnOutput,
        "adaptive" => Trigger.Adaptive,
        _ => throw new PolluxException($"'{name}' is no trigger", "choose periodic, on-output or adaptive"),
    };

    private static Transmission TransmissionOf(string name) => name switch
    {
        "postponed" => Transmission.Postponed,
        "synchronous" => Transmission.Synchronous,
        _ => throw new PolluxException($"'{name}' is no transmission", "choose postponed or synchronous"),
    };

    private static string NameOf(Trigger trigger) => trigger switch
    {
        Trigger.Periodic => "periodic",
        Trigger.OnOutput => "on-output",
        _ => "adaptive",
    };

    private static string NameOf(Transmission transmission) => transmission == Transmission.Synchronous ? "synchronous" : "postponed";

    private static int Within(string what, int value, MsRange range) => range.Contains(value)
        ? value
        : throw new PolluxException($"{what} is {value} ms", $"choose {range.Least} to {range.Most} ms");
}
