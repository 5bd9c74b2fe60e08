using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;

namespace Pollux.Migration.Replay;

/// <summary>
/// A trace as compact JSON, plain or gzipped (name ends in <c>.gz</c>):
/// <c>{"guest":…,"source":…,"stepMs":100,"groups":256,"usedPages":[256,12,…],"steps":[[group,pages,firstPage, group,pages,firstPage, …],…]}</c>,
/// firstPage −1 where unknown.
/// </summary>
public static class MemoryTraceFile
{
    private const int Anywhere = -1;

    /// <summary>Steps and groups beyond this are no trace of ours.</summary>
    private const int GroupsMost = 1 << 20;

    public static void Write(string path, MemoryTrace trace)
    {
        using var file = File.Create(path);
        using var packed = path.EndsWith(".gz", StringComparison.Ordinal) ? new System.IO.Compression.GZipStream(file, System.IO.Compression.CompressionLevel.SmallestSize) : (Stream)file;
        Write(packed, trace);
    }

    public static void Write(Stream stream, MemoryTrace trace) => JsonSerializer.Serialize(
        stream,
        new TraceDocument(
            trace.Guest, trace.Source, trace.StepMs, trace.Groups, [.. trace.UsedPages],
            [.. trace.Steps.Select(s => s.Written.SelectMany(w => new[] { w.Group, w.Pages, w.FirstPage ?? Anywhere }).ToArray())]),
        TraceJson.Default.TraceDocument);

    /// <exception cref="PolluxException">Not a trace.</exception>
    public static MemoryTrace Read(string path)
    {
        using var file = File.OpenRead(path);
        using var plain = path.EndsWith(".gz", StringComparison.Ordinal) ? new System.IO.Compression.GZipStream(file, System.IO.Compression.CompressionMode.Decompress) : (Stream)file;
        return Read(plain, path);
    }

    /// <param name="name">Of the file, for the message.</param>
    /// <exception cref="PolluxException">Not a trace.</exception>
    public static MemoryTrace Read(Stream stream, string name)
    {
        try
        {
            var read = JsonSerializer.Deserialize(stream, TraceJson.Default.TraceDocument) ?? throw new JsonException("it is null");
            return TraceOf(read);
        }
        catch (Exception e) when (e is JsonException or InvalidDataException)
        {
            throw new PolluxException($"{name} is no memory trace: {e.Message}", "record it anew", e);
        }
    }

    private static MemoryTrace TraceOf(TraceDocument read)
    {
        static void Must([DoesNotReturnIf(false)] bool holds, string what)
        {
            if (!holds)
            {
                throw new JsonException(what);
            }
        }
        Must(read.Guest is { Length: > 0 } && read.Source is not null && read.UsedPages is not null && read.Steps is not null, "a member is missing");
        Must(read.StepMs is > 0 and <= 60_000, "stepMs is not between 0 and 60,000");
        Must(read.Groups is > 0 and <= GroupsMost && read.UsedPages.Length == read.Groups, "usedPages does not have one number for each group");
        Must(read.UsedPages.All(p => p is >= 0 and <= MemoryTrace.PagesPerGroup), "usedPages has a number that is not of a group");
        Must(read.Steps.Length > 0 && read.Steps.All(s => s is not null && s.Length % 3 == 0), "steps are not triples");
        return new MemoryTrace(read.Guest, read.Source, read.StepMs, read.Groups, read.UsedPages, [.. read.Steps.Select(StepOf)]);

        TraceStep StepOf(int[] numbers)
        {
            var written = new WrittenGroup[numbers.Length / 3];
            for (var i = 0; i < written.Length; i++)
            {
                var (group, pages, first) = (numbers[3 * i], numbers[(3 * i) + 1], numbers[(3 * i) + 2]);
                Must(group >= 0 && group < read.Groups && (i == 0 || group > written[i - 1].Group), $"group {group} is out of order or range");
                Must(pages is >= 1 and <= MemoryTrace.PagesPerGroup && first is >= Anywhere and < MemoryTrace.PagesPerGroup, $"group {group} has pages that it does not have");
                written[i] = new WrittenGroup(group, pages, first == Anywhere ? null : first);
            }
            return new TraceStep(written);
        }
    }
}

internal sealed record TraceDocument(string Guest, string Source, double StepMs, int Groups, int[] UsedPages, int[][] Steps);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(TraceDocument))]
internal sealed partial class TraceJson : JsonSerializerContext;
