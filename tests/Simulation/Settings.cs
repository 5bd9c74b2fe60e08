using Pollux.Replication.Checkpointing;

namespace Pollux.Simulation;

/// <summary>What differs from life to life beside the faults.</summary>
internal sealed record Settings(
    int Hosts, double LeaseMs, double HeartbeatMs, double DetectionMs, TriggerSettings Trigger, Transmission Transmission, double GuestStepMs, double PagesPerMs, long RamBytes, long PoolBytes)
{
    public static Settings From(Random random) => new(
        Hosts: random.Next(4) == 0 ? 3 : 2,
        LeaseMs: 2_000 + random.Next(4_000),
        HeartbeatMs: 20,
        DetectionMs: random.Next(3) switch { 0 => 100, 1 => 150, _ => 300 },
        Trigger: new TriggerSettings((Trigger)random.Next(3), FloorMs: 2 + random.Next(20), IntervalMs: 50 + random.Next(150), DirtyPagesEarly: 3_000),
        Transmission: random.Next(6) == 0 ? Transmission.Synchronous : Transmission.Postponed,
        GuestStepMs: 10 + random.Next(50),
        PagesPerMs: random.Next(60),
        RamBytes: (8L << 20) << random.Next(5),
        PoolBytes: 64L << 20);
}
