using Pollux.Replication.Checkpointing;
using Pollux.Replication.Link;
using Pollux.Replication.Pair;

namespace Pollux.Keeper;

/// <summary>What one protection needs to know.</summary>
/// <param name="Connect">Opens the data and the heartbeat connection to the standby, authenticated and welcomed; throws why not.</param>
/// <param name="ChannelPath">Where QEMU connects for checkpoints.</param>
internal sealed record ProtectionOptions(
    Member Standby,
    Func<(FrameStream Data, FrameStream Heartbeat)> Connect,
    Func<TriggerSettings> Trigger,
    Transmission Transmission,
    string ChannelPath,
    long BufferCeilingBytes,
    int HeartbeatMs,
    int DetectionMs);
