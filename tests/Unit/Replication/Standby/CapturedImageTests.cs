using System.Security.Cryptography;
using Pollux.Core;
using Pollux.Linux.Memory;
using Pollux.Replication.Checkpointing;
using Pollux.Replication.Standby;
using Pollux.Unit.Tests.Wire;

namespace Pollux.Unit.Tests.Replication.Standby;

/// <summary>The standby's image, made from what stock QEMUs really sent, is QEMU's own memory byte for byte.</summary>
public sealed class CapturedImageTests : IDisposable
{
    private readonly ChunkPool _pool = new(64 << 20);

    public void Dispose() => _pool.Dispose();

    public static TheoryData<string> Names => CapturedStream.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Apply_CapturedEpochs_MakesTheGuestsMemory(string name)
    {
        var stream = CapturedStream.Load(name);
        using var ram = MemoryMap.AllocateAnonymous(stream.RamLength);
        using var image = new StandbyImage(ram, CapturedStream.RamBlock);
        image.ApplyFirst(stream.Ram(stream.First));
        Assert.Equal(Epoch.None, image.Applied);
        image.FinishFirst(stream.FirstDevice.ToArray());
        Assert.Equal((new Epoch(0), stream.Machine), (image.Applied, image.MachineType));
        Assert.Equal(stream.First.RamSha256, Digest(ram));

        foreach (var checkpoint in stream.Checkpoints)
        {
            image.Apply(Fill(image.Applied.Next, stream.Ram(checkpoint), stream.Device(checkpoint)), _pool);
            Assert.Equal(checkpoint.RamSha256, Digest(ram));
            Assert.Equal(stream.Device(checkpoint).ToArray(), image.DeviceState);
        }
        Assert.Equal(0, _pool.UsedBytes);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void TakeoverBlocks_OfACapturedGuest_NameItsRamAndHoldTheRest(string name)
    {
        var stream = CapturedStream.Load(name);
        using var ram = MemoryMap.AllocateAnonymous(stream.RamLength);
        using var image = new StandbyImage(ram, CapturedStream.RamBlock);
        image.ApplyFirst(stream.Ram(stream.First));
        image.FinishFirst(stream.FirstDevice.ToArray());

        Assert.Contains(image.TakeoverBlocks(), b => b.Name == CapturedStream.RamBlock && b.Content.IsEmpty);
        Assert.All(image.TakeoverBlocks().Where(b => b.Name != CapturedStream.RamBlock), b => Assert.Equal((long)b.Length, b.Content.Length));
        Assert.Contains(image.TakeoverBlocks(), b => b.Name == "pc.bios");
    }

    private EpochBuffer Fill(Epoch epoch, ReadOnlySpan<byte> ramStream, ReadOnlySpan<byte> device)
    {
        var buffer = new EpochBuffer(_pool, epoch);
        while (!ramStream.IsEmpty)
        {
            var space = buffer.RamSpace();
            var count = Math.Min(space.Length, ramStream.Length);
            ramStream[..count].CopyTo(space);
            buffer.RamFilled(count);
            ramStream = ramStream[count..];
        }
        buffer.AppendDevice(device);
        buffer.Complete();
        return buffer;
    }

    private static string Digest(MemoryMap ram) => Convert.ToHexStringLower(SHA256.HashData(ram.Span(0, (int)ram.Length)));
}
