using Pollux.Core;

namespace Pollux.Wire;

/// <summary>Bytes that are not what their format says. The message names the place and what was expected there.</summary>
public sealed class WireFormatException(string problem) : PolluxException(problem);
