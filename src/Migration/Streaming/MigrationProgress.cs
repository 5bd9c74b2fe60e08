namespace Pollux.Migration.Streaming;

/// <summary>What a migration under way has come to, for people. Sizes in bytes, times in milliseconds.</summary>
/// <param name="Iteration">1 during the first pass over all RAM.</param>
/// <param name="RemainingBytes">What QEMU knows to be left.</param>
/// <param name="BytesPerSecond">On the link, lately.</param>
/// <param name="PredictedPauseMs">If the guest were stopped now.</param>
/// <param name="LeftMs">An honest guess of how long it still takes; null: it does not converge as it goes.</param>
/// <param name="Why">What the policy thinks, in words.</param>
public sealed record MigrationProgress(
    string Policy, double ElapsedMs, long Iteration, long SentBytes, long RemainingBytes, double BytesPerSecond, double PredictedPauseMs, double? LeftMs, int ThrottlePercent, string Why);
