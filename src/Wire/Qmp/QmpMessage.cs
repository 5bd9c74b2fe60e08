using System.Text.Json;

namespace Pollux.Wire.Qmp;

/// <summary>One line from QEMU's machine protocol (QEMU's <c>docs/interop/qmp-spec.rst</c>).</summary>
public abstract record QmpMessage
{
    private QmpMessage()
    {
    }

    /// <summary>The first line of a connection.</summary>
    /// <param name="Version">Such as 7.2.22.</param>
    public sealed record Greeting(string Version) : QmpMessage;

    /// <summary>A command succeeded. <paramref name="Id"/> is null when the command had none.</summary>
    public sealed record Return(long? Id, JsonElement Value) : QmpMessage;

    /// <summary>A command failed.</summary>
    public sealed record Error(long? Id, string Class, string Description) : QmpMessage;

    /// <summary>Something happened, by QEMU's wall clock in microseconds since 1970.</summary>
    /// <param name="Data">Undefined when the event has none.</param>
    public sealed record Event(string Name, long TimestampMicros, JsonElement Data) : QmpMessage;

    /// <summary>Reads a line; throws <see cref="WireFormatException"/> for what is none of the four.</summary>
    public static QmpMessage Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            return Read(JsonElement.Parse(line), line);
        }
        catch (JsonException e)
        {
            throw Malformed("a line of JSON", e.Message);
        }
        catch (InvalidOperationException e)
        {
            // A name or a string that is no valid text, such as a lone surrogate: the reader finds out only when asked for it.
            throw Malformed("text", e.Message);
        }
    }

    private static QmpMessage Read(JsonElement message, ReadOnlySpan<byte> line)
    {
        if (message.ValueKind != JsonValueKind.Object)
        {
            throw Malformed("a JSON object", $"{message.ValueKind}");
        }

        foreach (var member in message.EnumerateObject())
        {
            switch (member.Name)
            {
                case "return":
                    return new Return(IdOf(message), member.Value);
                case "event":
                    return new Event(Text(member.Value), TimestampOf(message), Member(message, "data"));
                case "error":
                    return new Error(IdOf(message), Text(Member(member.Value, "class")), Text(Member(member.Value, "desc")));
                case "QMP":
                    return new Greeting(VersionText(Member(Member(member.Value, "version"), "qemu")));
            }
        }

        throw Malformed("return, error, event or QMP", Shorten(line));
    }

    private static long? IdOf(JsonElement message) =>
        Member(message, "id") is { ValueKind: JsonValueKind.Number } id && id.TryGetInt64(out var number) ? number : null;

    private static long TimestampOf(JsonElement message)
    {
        var timestamp = Member(message, "timestamp");
        return Number(timestamp, "seconds") * 1_000_000 + Number(timestamp, "microseconds");
    }

    private static string VersionText(JsonElement qemu) => $"{Number(qemu, "major")}.{Number(qemu, "minor")}.{Number(qemu, "micro")}";

    // QEMU gives -1 for a time that it does not know; a missing one is treated alike.
    private static long Number(JsonElement parent, string name) =>
        Member(parent, name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt64(out var value) ? value : 0;

    private static JsonElement Member(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value : default;

    private static string Text(JsonElement element) =>
        element.ValueKind == JsonValueKind.String ? element.GetString()! : throw Malformed("a string", $"{element.ValueKind}");

    private static string Shorten(ReadOnlySpan<byte> line) =>
        System.Text.Encoding.UTF8.GetString(line[..Math.Min(line.Length, 80)]);

    private static WireFormatException Malformed(string expected, string found) => new("QMP line", 0, expected, found);
}
