using System.Buffers;
using Pollux.Wire.Migration;

namespace Pollux.Unit.Tests.Wire.Migration;

public class TakeoverStreamTests
{
    private static readonly byte[] Devices = new MigrationStreamBuilder().Device(0, "timer", [1, 2, 3]).Eof().ToArray();

    [Fact]
    public void Compose_SharedAndSmallBlocks_IsReadBackByTheScanner()
    {
        byte[] rom = [.. MigrationStreamBuilder.Content(1), .. new byte[4096], .. MigrationStreamBuilder.Content(2)];
        var tables = MigrationStreamBuilder.Content(3);
        var output = new ArrayBufferWriter<byte>();
        TakeoverStream.Compose(output, "pc-q35-7.2",
            [new("pc.ram", 1 << 30, default), new("pc.rom", (ulong)rom.Length, rom), new("tables", 4096, tables)], Devices);

        var scanner = new RamStreamScanner(expectHeader: true);
        var sink = new RecordingSink();
        var consumed = scanner.Scan(output.WrittenSpan, ref sink);

        Assert.True(scanner.AtDeviceState);
        Assert.Equal("pc-q35-7.2", scanner.MachineType);
        Assert.Equal([new RamBlock("pc.ram", 1 << 30), new RamBlock("pc.rom", 3 * 4096), new RamBlock("tables", 4096)], scanner.Blocks);
        Assert.Equal((3, 1), (scanner.Pages, scanner.ZeroPages));
        Assert.Equal(
            [$"page 1 0 {Crc(rom.AsSpan(0, 4096)):x8}", "zero 1 1000", $"page 1 2000 {Crc(rom.AsSpan(8192)):x8}",
             $"page 2 0 {Crc(tables):x8}"],
            sink.Found[3..]);
        Assert.True(output.WrittenSpan[consumed..].StartsWith(Devices));
    }

    [Fact]
    public void Compose_DeviceStateWithoutItsBeginning_IsRefused() =>
        Assert.Throws<ArgumentException>(() => TakeoverStream.Compose(new ArrayBufferWriter<byte>(), "pc", [], Devices.AsSpan(1)));

    [Fact]
    public void Compose_ContentThatIsShorterThanItsBlock_IsRefused() =>
        Assert.Throws<ArgumentException>(() => TakeoverStream.Compose(new ArrayBufferWriter<byte>(), "pc", [new("a", 8192, new byte[4096])], Devices));

    private static uint Crc(ReadOnlySpan<byte> bytes) => Pollux.Wire.Replication.Crc32C.Of(bytes);
}
