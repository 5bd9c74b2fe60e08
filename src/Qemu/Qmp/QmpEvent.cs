using System.Text.Json;

namespace Pollux.Qemu.Qmp;

/// <summary>Something that QEMU reports by itself, such as STOP, RESUME or SHUTDOWN.</summary>
/// <param name="TimestampMicros">QEMU's wall clock, microseconds since 1970.</param>
/// <param name="Data">Undefined when the event has none.</param>
public sealed record QmpEvent(string Name, long TimestampMicros, JsonElement Data);
