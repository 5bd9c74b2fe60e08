using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Pollux.Qemu.Qmp;

/// <summary>A command as QEMU reads it: one line of JSON.</summary>
internal static class QmpCommand
{
    internal static ReadOnlyMemory<byte> Encode(string command, JsonObject? arguments, long id)
    {
        var buffer = new ArrayBufferWriter<byte>(128);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("execute"u8, command);
            if (arguments is not null)
            {
                json.WritePropertyName("arguments"u8);
                arguments.WriteTo(json);
            }

            json.WriteNumber("id"u8, id);
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenMemory;
    }
}
