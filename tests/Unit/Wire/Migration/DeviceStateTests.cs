using Pollux.Wire.Migration;

namespace Pollux.Unit.Tests.Wire.Migration;

public class DeviceStateTests
{
    private const string Json = """{"configuration": {}, "page_size": 4096, "devices": [{"name": "timer", "fields": []}]}""";

    private static readonly byte[] Devices = new MigrationStreamBuilder()
        .Device(0, "timer", [1, 2, 3])
        .Device(3, "fw_cfg", "a {\"device\": \"that\"} holds JSON"u8).Eof().ToArray();

    private static readonly byte[] Whole = [.. Devices, .. new MigrationStreamBuilder().Description(Json).ToArray()];

    [Fact]
    public void TryFindEnd_WholeState_GivesBothLengths()
    {
        Assert.True(DeviceState.TryFindEnd(Whole, out var device, out var total));
        Assert.Equal((Devices.Length, Whole.Length), (device, total));
    }

    [Fact]
    public void TryFindEnd_WithBytesThatFollow_EndsBeforeThem()
    {
        Assert.True(DeviceState.TryFindEnd([.. Whole, 0, 0, 0, 1], out var device, out var total));
        Assert.Equal((Devices.Length, Whole.Length), (device, total));
    }

    [Fact]
    public void TryFindEnd_AnyPrefix_AsksForMore()
    {
        for (var length = 0; length < Whole.Length; length++)
        {
            Assert.False(DeviceState.TryFindEnd(Whole.AsSpan(0, length), out _, out _));
        }
    }

    [Fact]
    public void TryFindEnd_ADeviceThatHoldsADescriptionOfNothing_IsNotTheEnd()
    {
        // Byte for byte what ends a stream, but inside a device and without the list of devices.
        var inside = new MigrationStreamBuilder().Byte(0x7e).U32(9).Eof().Description("""{"x": {"devices": 1}}""").ToArray();
        byte[] devices = [.. new MigrationStreamBuilder().Device(0, "disk", inside).Eof().ToArray()];
        byte[] whole = [.. devices, .. new MigrationStreamBuilder().Description(Json).ToArray()];
        Assert.True(DeviceState.TryFindEnd(whole, out var device, out _));
        Assert.Equal(devices.Length, device);
    }

    [Fact]
    public void TryFindEnd_MutatedState_NeverReachesBeyondItsInput()
    {
        var random = new Random(11);
        for (var round = 0; round < 5000; round++)
        {
            var mutant = Mutation.Of(Whole, random);
            if (DeviceState.TryFindEnd(mutant, out var device, out var total))
            {
                Assert.InRange(total, 1, mutant.Length);
                Assert.InRange(device, 1, total);
            }
        }
    }
}
