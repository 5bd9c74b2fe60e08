using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Standby;
using Pollux.Simulation.Shipping;
using Pollux.Wire;

namespace Pollux.Unit.Tests.Replication.Standby;

/// <summary>The image follows the primary's RAM, epoch by epoch; what is no such stream changes nothing outside its blocks.</summary>
public sealed class StandbyImageTests : IDisposable
{
    private const int PageBytes = 4096;
    private const int RamPages = 64;
    private const ulong BiosBytes = 2 * PageBytes;
    private readonly MemoryMap _ram = MemoryMap.AllocateAnonymous(RamPages * PageBytes);
    private readonly ChunkPool _pool = new(8 * ChunkPool.ChunkBytes);
    private readonly StandbyImage _image;
    private readonly RamStreamText _primary = new();

    public StandbyImageTests() => _image = new StandbyImage(_ram, "ram0");

    public void Dispose()
    {
        _image.Dispose();
        _pool.Dispose();
        _ram.Dispose();
    }

    private static byte[] PageOf(byte value)
    {
        var page = new byte[PageBytes];
        page.AsSpan().Fill(value);
        return page;
    }

    private byte[] FirstCopy() => _primary.Begin(("ram0", RamPages * PageBytes), ("pc.bios", BiosBytes))
        .Section(2).Page("ram0", 0, PageOf(1)).Page("ram0", PageBytes, PageOf(2)).EndSection()
        .Section(3).Page("pc.bios", 0, PageOf(7)).Page("pc.bios", PageBytes, PageOf(8)).Page("ram0", 2 * PageBytes).EndSection()
        .Cut();

    private void ApplyFirst()
    {
        _image.ApplyFirst(FirstCopy());
        _image.FinishFirst([4, 1, 1, 0]);
    }

    private EpochBuffer Epoch(long number, ReadOnlySpan<byte> ram, params byte[] device)
    {
        var buffer = new EpochBuffer(_pool, new Epoch(number));
        while (ram.Length > 0)
        {
            var space = buffer.RamSpace();
            var count = Math.Min(space.Length, ram.Length);
            ram[..count].CopyTo(space);
            buffer.RamFilled(count);
            ram = ram[count..];
        }
        buffer.AppendDevice(device);
        buffer.Complete();
        return buffer;
    }

    private byte FirstByteOf(int page) => _ram.Span(page * PageBytes, 1)[0];

    [Fact]
    public void ApplyFirst_InPieces_MakesTheImage()
    {
        foreach (var b in FirstCopy())
        {
            _image.ApplyFirst([b]);
        }
        Assert.Equal(Core.Epoch.None, _image.Applied);
        _image.FinishFirst([4, 1, 1, 0]);

        Assert.Equal(new Epoch(0), _image.Applied);
        Assert.Equal("test", _image.MachineType);
        Assert.True(_ram.Span(0, PageBytes).SequenceEqual(PageOf(1)));
        Assert.True(_ram.Span(PageBytes, PageBytes).SequenceEqual(PageOf(2)));
        var blocks = _image.TakeoverBlocks();
        Assert.Equal(["ram0", "pc.bios"], blocks.Select(b => b.Name));
        Assert.True(blocks[0].Content.IsEmpty);
        Assert.Equal([.. PageOf(7), .. PageOf(8)], blocks[1].Content.ToArray());
    }

    [Fact]
    public void Apply_TheNextEpoch_ChangesItsPagesAndTheDeviceState()
    {
        ApplyFirst();

        _image.Apply(Epoch(1, _primary.Section(3).Page("ram0", 0).Page("ram0", 63 * PageBytes, PageOf(9)).EndSection().End().Cut(), 4, 5, 0), _pool);

        Assert.Equal((0, 2, 9), (FirstByteOf(0), FirstByteOf(1), FirstByteOf(63)));
        Assert.Equal([4, 5, 0], _image.DeviceState);
        Assert.Equal(new Epoch(1), _image.Applied);
        Assert.Equal(0, _pool.UsedBytes);
    }

    [Fact]
    public void Apply_APageDroppedOnTheWay_ShowsInTheImage()
    {
        // The guard of every byte-for-byte comparison: it can tell.
        ApplyFirst();

        _image.Apply(Epoch(1, _primary.Section(3).Page("ram0", 0, PageOf(5)).EndSection().End().Cut(), 4, 0), _pool);

        Assert.Equal(5, FirstByteOf(0));
        Assert.NotEqual(6, FirstByteOf(1));
    }

    [Fact]
    public void Apply_AnEpochCutShort_IsRefused()
    {
        ApplyFirst();
        var stream = _primary.Section(3).Page("ram0", 0, PageOf(5)).EndSection().Cut();

        var error = Assert.Throws<WireFormatException>(() => _image.Apply(Epoch(1, stream), _pool));

        Assert.Contains("ended inside its RAM stream", error.Message, StringComparison.Ordinal);
        Assert.Equal(new Epoch(0), _image.Applied);
    }

    [Fact]
    public void Apply_BytesAfterTheEnd_AreRefused()
    {
        ApplyFirst();
        byte[] stream = [.. _primary.Section(3).EndSection().End().Cut(), 1, 2];

        Assert.Throws<WireFormatException>(() => _image.Apply(Epoch(1, stream), _pool));
    }

    [Theory]
    [InlineData("ram0", RamPages * PageBytes)]
    [InlineData("ram0", ulong.MaxValue & ~0xffful)]
    [InlineData("pc.bios", 2 * PageBytes)]
    [InlineData("nobody", 0)]
    public void Apply_APageOutsideItsBlock_IsRefused(string block, ulong address)
    {
        ApplyFirst();
        var stream = _primary.Section(3).Page(block, address, PageOf(5)).EndSection().End().Cut();

        Assert.Throws<WireFormatException>(() => _image.Apply(Epoch(1, stream), _pool));
    }

    [Fact]
    public void ApplyFirst_ARamBlockOfAnotherSize_IsRefusedWithBothSizes()
    {
        var error = Assert.Throws<WireFormatException>(() => _image.ApplyFirst(_primary.Begin(("ram0", 8192)).Cut()));

        Assert.Contains("8192", error.Message, StringComparison.Ordinal);
        Assert.Contains($"{RamPages * PageBytes}", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 300ul << 20)]
    [InlineData(1000, 200ul << 20)]
    public void ApplyFirst_BlocksThatNoMachineHas_AreRefusedBeforeTheyTakeMemory(int count, ulong length)
    {
        var blocks = Enumerable.Range(0, count).Select(i => ($"rom{i}", length)).ToArray();

        Assert.Throws<WireFormatException>(() => _image.ApplyFirst(_primary.Begin(blocks).Cut()));
    }

    [Fact]
    public void FinishFirst_OfACopyCutShort_IsRefused()
    {
        _image.ApplyFirst(_primary.Begin(("ram0", RamPages * PageBytes)).Section(3).Cut());

        Assert.Throws<WireFormatException>(() => _image.FinishFirst([4, 0]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Apply_ManyEpochsOfRandomPages_EqualsThePrimary(int seed)
    {
        ApplyFirst();
        var random = new Random(seed);
        var primary = _ram.Span(0, (int)_ram.Length).ToArray();
        for (var epoch = 1; epoch <= 60; epoch++)
        {
            _primary.Section(3);
            for (var i = random.Next(0, 40); i > 0; i--)
            {
                var at = random.Next(RamPages) * PageBytes;
                var page = primary.AsSpan(at, PageBytes);
                if (random.Next(4) == 0)
                {
                    page.Clear();
                    _primary.Page("ram0", (ulong)at);
                }
                else
                {
                    random.NextBytes(page);
                    _primary.Page("ram0", (ulong)at, page);
                }
            }
            _image.Apply(Epoch(epoch, _primary.EndSection().End().Cut(), 4, 0), _pool);
            Assert.True(_ram.Span(0, primary.Length).SequenceEqual(primary), $"epoch {epoch} differs");
        }
    }
}
