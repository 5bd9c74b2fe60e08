using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Standby;
using Pollux.Simulation.Shipping;
using Pollux.Unit.Tests.Wire;
using Pollux.Wire;
using Pollux.Wire.Replication;

namespace Pollux.Unit.Tests.Replication.Standby;

/// <summary>Page records that no honest primary writes change nothing outside of the image's blocks.</summary>
public sealed class PageRecordImageTests : IDisposable
{
    private const int PageBytes = 4096;
    private const int RamPages = 16;
    private readonly MemoryMap _ram = MemoryMap.AllocateAnonymous(RamPages * PageBytes);
    private readonly ChunkPool _pool = new(8 << 20);
    private readonly StandbyImage _image;

    public PageRecordImageTests()
    {
        _image = new StandbyImage(_ram, "ram0");
        _image.ApplyFirst(new RamStreamText().Begin(("ram0", RamPages * PageBytes)).Section(3).EndSection().Cut());
        _image.FinishFirst([4, 0]);
    }

    public void Dispose()
    {
        _image.Dispose();
        _ram.Dispose();
        _pool.Dispose();
    }

    [Theory]
    [InlineData(RamPages * PageBytes, 0)]
    [InlineData(ulong.MaxValue - 4095, 0)]
    [InlineData(0, 1)]
    [InlineData(0, 65535)]
    public void Apply_PageThatIsNotThere_IsRefused(ulong address, int block)
    {
        Assert.Throws<WireFormatException>(() => Apply(Record(address, block, PageRecord.AllParts)));
        Assert.False(_ram.Span(0, RamPages * PageBytes).ContainsAnyExcept((byte)0));
    }

    [Theory]
    [InlineData(RamPages * PageBytes, 0)]
    [InlineData(0, 1)]
    public void Apply_ZeroPageThatIsNotThere_IsRefused(ulong address, int block) =>
        Assert.Throws<WireFormatException>(() => Apply(Record(address, block, 0)));

    [Fact]
    public void Apply_EpochCutShortAnywhere_IsRefused()
    {
        var record = Record(PageBytes, 0, 0b1000_0001);
        foreach (var length in (int[])[1, 11, 12, 13, 523, 524, 525, record.Length - 1])
        {
            using var image = new StandbyImage(_ram, "ram0");
            image.ApplyFirst(new RamStreamText().Begin(("ram0", RamPages * PageBytes)).Section(3).EndSection().Cut());
            image.FinishFirst([4, 0]);
            Assert.Throws<WireFormatException>(() => Apply(image, record[..length]));
        }
    }

    [Fact]
    public void Apply_MutatedRecords_StaysInsideOrIsRefused()
    {
        var random = new Random(3);
        for (var round = 0; round < 3000; round++)
        {
            using var image = new StandbyImage(_ram, "ram0");
            image.ApplyFirst(new RamStreamText().Begin(("ram0", RamPages * PageBytes)).Section(3).EndSection().Cut());
            image.FinishFirst([4, 0]);
            byte[] records = [.. Record((ulong)random.Next(RamPages) * PageBytes, 0, random.Next(256)), .. Record(0, 0, 3)];
            try
            {
                Apply(image, Mutation.Of(records, random));
            }
            catch (WireFormatException)
            {
            }
        }
    }

    private void Apply(byte[] records) => Apply(_image, records);

    private void Apply(StandbyImage image, ReadOnlySpan<byte> records)
    {
        var epoch = Epoch(1, records);
        try
        {
            image.Apply(epoch, _pool);
        }
        finally
        {
            epoch.Return();
            Assert.Equal(0, _pool.UsedBytes);
        }
    }

    private EpochBuffer Epoch(long number, ReadOnlySpan<byte> records)
    {
        var epoch = new EpochBuffer(_pool, new Epoch(number)) { IsPages = true };
        if (!records.IsEmpty)
        {
            records.CopyTo(epoch.RamSpace());
            epoch.RamFilled(records.Length);
        }
        epoch.AppendDevice([4, 0]);
        epoch.Complete();
        return epoch;
    }

    private static byte[] Record(ulong address, int block, int parts)
    {
        var record = new PageRecord(address, block, parts);
        var bytes = new byte[PageRecord.HeaderBytes + record.ContentBytes];
        bytes.AsSpan().Fill(7);
        record.Write(bytes);
        return bytes;
    }
}
