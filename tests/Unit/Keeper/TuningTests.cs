using Pollux.Cluster.Keepers;
using Pollux.Core;
using Pollux.Keeper;
using Pollux.Qemu.Spec;

namespace Pollux.Unit.Tests.Keeper;

/// <summary>What a user may change while the VM runs is what the spec may say.</summary>
public sealed class TuningTests
{
    private static readonly Tuning Usual = Tuning.Of(new FaultToleranceSpec());

    public static TheoryData<ProtectionSettings, string> Refused => new()
    {
        { new ProtectionSettings(IntervalMs: 0), "interval is 0 ms; choose 1 to 10000 ms" },
        { new ProtectionSettings(FloorMs: 1_001), "floor is 1001 ms; choose 0 to 1000 ms" },
        { new ProtectionSettings(DetectionMs: 49), "detection is 49 ms; choose 50 to 5000 ms" },
        { new ProtectionSettings(DetectionMs: 5_001), "detection is 5001 ms; choose 50 to 5000 ms" },
        { new ProtectionSettings(DetectionMs: 59), "detection would be 59 ms with a heartbeat every 20 ms; allow for at least three heartbeats: 60 ms" },
        { new ProtectionSettings(IntervalMs: 10, FloorMs: 11), "the shortest run between two checkpoints would be 11 ms, and the longest 10 ms; choose a floor that is not above the interval" },
        { new ProtectionSettings(Trigger: "often"), "'often' is no trigger; choose periodic, on-output or adaptive" },
        { new ProtectionSettings(Transmission: "never"), "'never' is no transmission; choose postponed or synchronous" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void With_WhatNoSpecMaySay_IsRefused(ProtectionSettings change, string said) =>
        Assert.Equal(said, Assert.Throws<PolluxException>(() => Usual.With(change)).Message);

    [Fact]
    public void With_OneSetting_LeavesTheOthers() => Assert.Equal(Usual with { DetectionMs = 60 }, Usual.With(new ProtectionSettings(DetectionMs: 60)));

    [Fact]
    public void ToSettings_AreThoseThatWereTaken()
    {
        var settings = new ProtectionSettings("on-output", "synchronous", 50, 5, 300, "never");
        Assert.Equal(settings, Usual.With(settings).ToSettings());
    }
}
