using Pollux.Core;

namespace Pollux.Wire;

/// <summary>Bytes that do not follow their format: says where, what was expected and what was there.</summary>
public sealed class WireFormatException : PolluxException
{
    public WireFormatException(string problem) : base(problem)
    {
    }

    public WireFormatException(string format, long offset, string expected, string found)
        : base($"the {format} is malformed at byte {offset}: expected {expected}, found {found}") => Offset = offset;

    /// <summary>Where in the stream, in bytes from its start; -1 where the format has no offsets.</summary>
    public long Offset { get; } = -1;
}
