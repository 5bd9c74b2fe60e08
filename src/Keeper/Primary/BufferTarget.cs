using Pollux.Replication.Checkpointing;
using Pollux.Wire.Migration;

namespace Pollux.Keeper.Primary;

/// <summary>Lets the channel fill an epoch; says when a chunk is ready and when the epoch gets too large to wait for its end.</summary>
internal sealed class BufferTarget(EpochBuffer buffer, Action chunkReady) : ICheckpointBuffer
{
    public Action? Crowded { get; init; }
    public long CrowdedBytes { get; init; }
    public bool WasCrowded { get; private set; }

    public Span<byte> RamSpace()
    {
        if (Crowded is not null && !WasCrowded && buffer.RamBytes >= CrowdedBytes)
        {
            WasCrowded = true;
            Crowded();
        }
        return buffer.RamSpace();
    }

    public void RamFilled(int bytes)
    {
        var before = buffer.RamBytes / ChunkPool.ChunkBytes;
        buffer.RamFilled(bytes);
        if (buffer.RamBytes / ChunkPool.ChunkBytes != before && (WasCrowded || Crowded is null))
        {
            chunkReady();
        }
    }

    public void RamUnfilled(int bytes) => buffer.RamUnfilled(bytes);
    public Span<byte> DeviceSpace() => buffer.DeviceSpace();
    public void DeviceFilled(int bytes) => buffer.DeviceFilled(bytes);
    public void AppendDevice(ReadOnlySpan<byte> bytes) => buffer.AppendDevice(bytes);
}
