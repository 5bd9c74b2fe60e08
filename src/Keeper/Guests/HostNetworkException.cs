using Pollux.Core;

namespace Pollux.Keeper.Guests;

/// <summary>This host lacks what a NIC of the guest is to be connected to: a bridge, a TAP device. Another QEMU would find it no better.</summary>
internal sealed class HostNetworkException(PolluxException cause) : PolluxException(cause.Problem, cause.NextStep, cause);
