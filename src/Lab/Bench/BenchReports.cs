using System.Text.Json.Serialization;
using Pollux.Lab.Load;

namespace Pollux.Lab.Bench;

/// <summary>Pauses at one number of dirty pages: Pollux and the floor by turns on the same guest. Times in milliseconds, from QMP's STOP to RESUME.</summary>
/// <param name="PagesAsked">What the guest rewrites in each round.</param>
/// <param name="Ratio">Of the medians.</param>
/// <param name="BytesPerPage">Managed memory allocated on the checkpoint thread.</param>
public sealed record CheckpointRow(
    int PagesAsked, long FloorPages, LatencySummary FloorMs, long Pages, LatencySummary PauseMs, double Ratio, double BytesPerPage, double CaptureMBPerSecond);

public sealed record CheckpointReport(BenchHost Host, string QemuVersion, string Accelerator, IReadOnlyList<CheckpointRow> Rows);

/// <summary>A takeover in a keeper that never took over before. Times in milliseconds.</summary>
/// <param name="FullCopyMs">From the wish to <c>protected</c>.</param>
/// <param name="ResumeMs">Load of the device state, until the guest runs.</param>
public sealed record TakeoverRow(int MemoryMiB, int Rounds, LatencySummary DetectMs, LatencySummary ArbitrateMs, LatencySummary ResumeMs, LatencySummary FullCopyMs);

public sealed record TakeoverReport(BenchHost Host, string QemuVersion, string Accelerator, IReadOnlyList<TakeoverRow> Rows);

/// <summary>What a client in a closed loop sees.</summary>
/// <param name="Mode">unprotected, or the trigger.</param>
public sealed record RoundTripRow(string Mode, LatencySummary RoundTripMs, double RequestsPerSecond, double CheckpointsPerSecond, double PauseMsP50);

public sealed record RoundTripReport(BenchHost Host, string QemuVersion, string Accelerator, IReadOnlyList<RoundTripRow> Rows);

/// <summary>What was shipped of what was captured, after the first copy; nothing is compressed.</summary>
/// <param name="Shipping">pages or changes.</param>
/// <param name="ShippedBytes">Of memory.</param>
/// <param name="SentBytes">With devices' state and the headers of frames.</param>
/// <param name="TableBytes">What the primary's hashes take at the end.</param>
/// <param name="KeeperCpus">Processors that the primary's keeper kept busy: 1 is one of them.</param>
/// <param name="KeeperMsPerMiB">Their time for a MiB captured.</param>
public sealed record ShippingRow(
    string Workload, string Shipping, long CapturedBytes, long ShippedBytes, long SentBytes, long UnchangedPages, long ZeroPages, long PartPages, long WholePages, long TableBytes,
    double RequestsPerSecond, double CheckpointsPerSecond, double PauseMsP50, double KeeperCpus, double KeeperMsPerMiB);

/// <summary>What compression does to one guest, by the link. Bytes are of memory, devices' state and frames' headers, without TLS.</summary>
/// <param name="Mbit">The link's rate; null: as fast as this machine is.</param>
/// <param name="Compression">never, always or auto.</param>
/// <param name="ProtectSeconds">From the wish to <c>protected</c>; the rehearsal is in it.</param>
/// <param name="FirstBytes">The first copy, not compressed.</param>
/// <param name="FirstSentBytes">The first copy, as it was sent.</param>
/// <param name="Bytes">Of the epochs of the window, not compressed.</param>
/// <param name="SentBytes">The same, as they were sent.</param>
/// <param name="CompressedMemory">Of the window's frames of memory, the share that was compressed.</param>
/// <param name="CompressedDevices">Likewise of those of devices' state.</param>
/// <param name="KeeperMsPerMiB">The primary's keeper's time on processors, for a MiB captured.</param>
/// <param name="StandbyMsPerMiB">Likewise the standby's keeper's.</param>
public sealed record CompressionRow(
    string Workload, int? Mbit, string Compression, double ProtectSeconds, long FirstBytes, long FirstSentBytes, long CapturedBytes, long Bytes, long SentBytes, double CompressedMemory, double CompressedDevices,
    double RequestsPerSecond, LatencySummary RoundTripMs, double CheckpointsPerSecond, double PauseMsP50, double KeeperMsPerMiB, double StandbyMsPerMiB);

/// <param name="LoadAfter">The load average of one minute at the end; the command itself makes some.</param>
public sealed record ShippingReport(
    BenchHost Host, string QemuVersion, string Accelerator, IReadOnlyList<ShippingRow> Rows, IReadOnlyList<CompressionRow> Compression, double LoadAfter);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(CheckpointReport))]
[JsonSerializable(typeof(TakeoverReport))]
[JsonSerializable(typeof(RoundTripReport))]
[JsonSerializable(typeof(ShippingReport))]
[JsonSerializable(typeof(BufferReport))]
[JsonSerializable(typeof(ClockReport))]
public sealed partial class BenchJson : JsonSerializerContext;
