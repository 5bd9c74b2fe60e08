using Pollux.Core;

namespace Pollux.Lab.Demo;

/// <summary>What happened around a fault, for a picture. Times are milliseconds after the fault; those before it are negative.</summary>
/// <param name="Victim">The host that was struck.</param>
/// <param name="Survivor">The host that runs the VM afterwards.</param>
/// <param name="Decided">When the survivor took the other for dead; null: nobody took over.</param>
/// <param name="Open">When its guest's frames went out.</param>
/// <param name="FirstAnswer">The first reply at the client.</param>
/// <param name="Replies">All replies, in order.</param>
public sealed record DemoTimeline(
    string Fault, HostId Victim, HostId Survivor, double? Decided, double? Open, double FirstAnswer, IReadOnlyList<double> Replies);
