using Pollux.Core;

namespace Pollux.Qemu.Qmp;

/// <summary>QEMU refused a command.</summary>
/// <param name="ErrorClass">QEMU's word, such as GenericError or CommandNotFound.</param>
public sealed class QmpCommandException(string command, string errorClass, string description)
    : PolluxException($"QEMU refused '{command}': {description}")
{
    public string ErrorClass { get; } = errorClass;

    /// <summary>QEMU's own sentence.</summary>
    public string Description { get; } = description;
}

/// <summary>The connection to QEMU is over. Whether a command that was on its way was done is unknown.</summary>
public sealed class QmpClosedException(string reason) : PolluxException($"the connection to QEMU ended: {reason}");
