namespace Pollux.Wire.Migration;

/// <summary>Where a checkpoint's bytes go. Both spaces have room for at least one byte; asking for one may wait: that is the back-pressure.</summary>
public interface ICheckpointBuffer
{
    Span<byte> RamSpace();
    void RamFilled(int bytes);

    /// <summary>The last bytes filled in belong to what follows the RAM stream.</summary>
    void RamUnfilled(int bytes);
    Span<byte> DeviceSpace();
    void DeviceFilled(int bytes);
    void AppendDevice(ReadOnlySpan<byte> bytes);
}
