using Pollux.Core;
using Pollux.Replication.Checkpointing;

namespace Pollux.Unit.Tests.Replication.Checkpointing;

public sealed class EpochBufferTests : IDisposable
{
    private readonly ChunkPool _pool = new(16 * ChunkPool.ChunkBytes);
    private readonly EpochBuffer _buffer;

    public EpochBufferTests() => _buffer = new EpochBuffer(_pool, new Epoch(1));

    public void Dispose() => _pool.Dispose();

    private static byte[] RandomBytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private void FillRam(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var space = _buffer.RamSpace();
            var count = Math.Min(space.Length, bytes.Length);
            bytes[..count].CopyTo(space);
            _buffer.RamFilled(count);
            bytes = bytes[count..];
        }
    }

    private byte[] TakeAll(Func<Chunk?> take)
    {
        var bytes = new List<byte>();
        while (take() is { } chunk)
        {
            bytes.AddRange(chunk.Filled);
            _pool.Return(chunk);
        }
        return [.. bytes];
    }

    [Fact]
    public void Take_AfterComplete_GivesBothStreamsWhole()
    {
        var ram = RandomBytes((2 * ChunkPool.ChunkBytes) + 12345, seed: 1);
        var device = RandomBytes(ChunkPool.ChunkBytes + 99, seed: 2);
        FillRam(ram);
        _buffer.AppendDevice(device);
        _buffer.Complete();

        Assert.Equal((ram.Length, device.Length), (_buffer.RamBytes, _buffer.DeviceBytes));
        Assert.True(_buffer.CopyDeviceState().AsSpan().SequenceEqual(device));
        Assert.True(TakeAll(_buffer.TakeRam).AsSpan().SequenceEqual(ram));
        Assert.True(TakeAll(_buffer.TakeDevice).AsSpan().SequenceEqual(device));
        Assert.Equal(0, _pool.UsedBytes);
    }

    [Fact]
    public void TakeRam_WhileItIsFilled_GivesFullChunksOnly()
    {
        FillRam(new byte[ChunkPool.ChunkBytes]);
        Assert.Null(_buffer.TakeRam());

        FillRam(new byte[1]);
        var full = _buffer.TakeRam();
        Assert.Equal(ChunkPool.ChunkBytes, full!.Used);
        _pool.Return(full);
        Assert.Null(_buffer.TakeRam());

        _buffer.Complete();
        Assert.Single(TakeAll(_buffer.TakeRam));
    }

    [Fact]
    public void RamUnfilled_TakesBackWhatBelongsToTheDeviceState()
    {
        FillRam([1, 2, 3, 4]);
        _buffer.RamUnfilled(1);
        _buffer.AppendDevice([4]);
        _buffer.Complete();

        Assert.Equal([1, 2, 3], TakeAll(_buffer.TakeRam));
        Assert.Equal([4], _buffer.CopyDeviceState());
    }

    [Fact]
    public void Return_OfAnUnfinishedEpoch_GivesEveryChunkBack()
    {
        FillRam(new byte[(3 * ChunkPool.ChunkBytes) + 1]);
        _buffer.AppendDevice([1]);

        _buffer.Return();

        Assert.Equal(0, _pool.UsedBytes);
    }
}
