using Pollux.Migration.Policies;
using Pollux.Qemu.Process;
using Pollux.Qemu.Qmp;

namespace Pollux.Migration.Streaming;

/// <param name="Qmp">Of the QEMU that runs the guest.</param>
/// <param name="SocketPath">A path for the stream's Unix socket, at most 107 bytes; there for a moment only.</param>
/// <param name="RamFile">Shared with QEMU as the guest's RAM, of which a sample is watched for the policy, and from which pages that waited are sent; null: it does without both.</param>
public sealed record OutgoingOptions(QmpSession Qmp, QemuVersion Version, string SocketPath, IMigrationPolicy Policy, MigrationTerms Terms, string? RamFile = null);

/// <summary>The guest is stopped and QEMU waits with the rest.</summary>
/// <param name="StoppedUnixMs">By QEMU's clock, in the STOP event; a guest that stood before: when this was seen.</param>
/// <param name="PredictedPauseMs">With what is left now.</param>
/// <param name="SentBytes">Until now.</param>
/// <param name="Why">Who decided so, in words.</param>
public sealed record Switchover(double StoppedUnixMs, double PredictedPauseMs, long SentBytes, string Why);
