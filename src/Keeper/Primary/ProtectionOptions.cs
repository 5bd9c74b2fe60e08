using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Compression;
using Pollux.Replication.Pair;
using Pollux.Replication.Scrubbing;

namespace Pollux.Keeper.Primary;

/// <summary>What one protection needs to know.</summary>
/// <param name="Connect">Opens the data and the heartbeat connection to the standby, authenticated and welcomed; throws why not.</param>
/// <param name="ChannelPath">Where QEMU connects for checkpoints.</param>
/// <param name="ShipChanges">Parts of pages that the standby has are not sent again.</param>
internal sealed record ProtectionOptions(
    Member Standby,
    Func<StandbyConnection> Connect,
    Func<TriggerSettings> Trigger,
    Transmission Transmission,
    string ChannelPath,
    long BufferCeilingBytes,
    int HeartbeatMs,
    int DetectionMs,
    bool ShipChanges,
    CompressionMode Compression,
    ScrubOptions? Scrub);

/// <summary>How the standby's memory is compared with the guest's.</summary>
/// <param name="RamFile">The guest's RAM.</param>
/// <param name="RamBytes">What it must have.</param>
/// <param name="Round">In which every page shall be compared once.</param>
/// <param name="Alarm">Called with the standby's words when it was found wrong; it leaves by itself.</param>
internal sealed record ScrubOptions(string RamFile, long RamBytes, TimeSpan Round, Action<string> Alarm)
{
    /// <summary>Null, and said in the log, when the guest's RAM cannot be looked at: without a scrub it is protected all the same.</summary>
    public RamScrubber? TryOpen()
    {
        try
        {
            var ram = MemoryMap.OpenReadOnly(RamFile);
            if (ram.Length == RamBytes)
            {
                return new RamScrubber(ram, Round);
            }
            ram.Dispose();
            KeeperLog.Say($"the standby's memory is not compared: {RamFile} has {ram.Length} bytes, the guest {RamBytes}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PolluxException)
        {
            KeeperLog.Say($"the standby's memory is not compared: {e.Message}");
        }
        return null;
    }
}
