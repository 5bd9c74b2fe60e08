using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;

namespace Pollux.Lab.Layout;

/// <summary>How a lab is asked for. It is kept in the lab's state directory: everything else follows from it or is asked of the kernel.</summary>
/// <param name="Hosts">Data hosts, 1 to 16; with 2 comes a witness.</param>
/// <param name="WithAgents">False leaves the agents out: hosts and etcd alone.</param>
/// <param name="Qemu">The QEMU of every host; null: the one in PATH.</param>
/// <param name="Keeper">The keeper of every host; null: this checkout's. For tests of what a broken one does.</param>
/// <param name="Owner">The command that makes the lab for itself and will remove it; null: a person's.</param>
public sealed record LabOptions(int Hosts = 2, bool WithAgents = true, string? Qemu = null, string? Keeper = null, string? Owner = null)
{
    internal static LabOptions? TryRead(LabName lab)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(lab.PlanFile), LabOptionsJson.Default.LabOptions);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    /// <exception cref="PolluxException">The lab is not up.</exception>
    internal static LabOptions Read(LabName lab) =>
        TryRead(lab) ?? throw new PolluxException($"lab '{lab}' is not up", $"pollux lab up --hosts 2{lab.AsOption}");

    internal void Write(LabName lab) => File.WriteAllText(lab.PlanFile, JsonSerializer.Serialize(this, LabOptionsJson.Default.LabOptions));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(LabOptions))]
internal sealed partial class LabOptionsJson : JsonSerializerContext;
