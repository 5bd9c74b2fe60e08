using System.Text.Json.Serialization;

namespace Pollux.Qemu.Probing;

/// <summary>How something that Pollux needs was found.</summary>
public enum Verdict
{
    [JsonStringEnumMemberName("ok")]
    Ok,

    /// <summary>It works, but not as well as it could.</summary>
    [JsonStringEnumMemberName("warning")]
    Warning,

    /// <summary>VMs cannot be protected (or run) without it.</summary>
    [JsonStringEnumMemberName("missing")]
    Missing,

    /// <summary>Nobody said yet that it shall be there.</summary>
    [JsonStringEnumMemberName("notConfigured")]
    NotConfigured,
}

/// <summary>What was looked at, and what was found, in a sentence.</summary>
/// <param name="NextStep">How to get what is missing.</param>
public sealed record Finding(string Subject, Verdict Verdict, string Sentence, string? NextStep = null);
