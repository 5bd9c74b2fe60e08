using System.IO.Compression;
using System.Text.Json.Nodes;

namespace Pollux.Unit.Tests.Wire;

/// <summary>What a real QEMU said on its checkpoint channel, and what tests/captures/capture.py, which wrote it, counted in it.</summary>
internal sealed class CapturedStream
{
    private CapturedStream(byte[] bytes, JsonNode found)
    {
        Bytes = bytes;
        RamLength = found["blocks"]!.AsArray().Where(b => (string?)b!["name"] == RamBlock).Sum(b => (long)b!["length"]!);
        Machine = (string)found["machine"]!;
        First = Part.Of(found["initial"]!, 0);
        var at = (int)found["initial"]!["totalBytes"]!;
        foreach (var checkpoint in found["checkpoints"]!.AsArray())
        {
            // CHECKPOINT_REQUEST and VMSTATE_SEND, RAM, VMSTATE_SIZE with its be64, device state.
            var part = Part.Of(checkpoint!, at + 8);
            Checkpoints.Add(part);
            at = part.DeviceStart + 12 + part.DeviceBytes;
        }
        Assert.Equal(bytes.Length, at);
    }

    public const string RamBlock = "ram0";

    public static TheoryData<string> Names => new("qemu-7.2", "qemu-10.0", "qemu-11.1");

    public byte[] Bytes { get; }
    public string Machine { get; }
    public long RamLength { get; }
    public Part First { get; }
    public List<Part> Checkpoints { get; } = [];

    public static CapturedStream Load(string name)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "data", "captures", name);
        using var packed = new GZipStream(File.OpenRead(path + ".gz"), CompressionMode.Decompress);
        using var whole = new MemoryStream();
        packed.CopyTo(whole);
        return new CapturedStream(whole.ToArray(), JsonNode.Parse(File.ReadAllText(path + ".json"))!);
    }

    public ReadOnlySpan<byte> Ram(Part part) => Bytes.AsSpan(part.Start, part.RamBytes);

    /// <summary>The device state of the first copy; that of a checkpoint stands 12 bytes further.</summary>
    public ReadOnlySpan<byte> FirstDevice => Bytes.AsSpan(First.DeviceStart, First.DeviceBytes);

    public ReadOnlySpan<byte> Device(Part checkpoint) => Bytes.AsSpan(checkpoint.DeviceStart + 12, checkpoint.DeviceBytes);

    /// <param name="Start">Where its RAM sections begin.</param>
    /// <param name="RamSha256">Of QEMU's own memory when the guest stood still after it.</param>
    internal sealed record Part(int Start, long Pages, long ZeroPages, int RamBytes, int DeviceBytes, string RamSha256)
    {
        public int DeviceStart => Start + RamBytes;

        public static Part Of(JsonNode found, int start) => new(
            start, (long)found["pages"]!, (long)found["zeroPages"]!, (int)found["ramBytes"]!, (int)found["deviceBytes"]!, (string)found["ramSha256"]!);
    }
}
