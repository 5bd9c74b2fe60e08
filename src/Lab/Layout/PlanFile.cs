using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Core;

namespace Pollux.Lab.Layout;

/// <summary>How the lab was asked for, in its state directory: everything else follows from this or is asked of the kernel.</summary>
/// <param name="Qemu">The QEMU of every host; null: the one in PATH.</param>
/// <param name="Owner">The command that made the lab for itself and will remove it; null: a person's.</param>
internal sealed record PlanFile(int Hosts, bool WithAgents, string? Qemu = null, string? Owner = null)
{
    internal static PlanFile? TryRead(LabName lab)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(lab.PlanFile), PlanJson.Default.PlanFile);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    /// <exception cref="PolluxException">The lab is not up.</exception>
    internal static PlanFile Read(LabName lab) =>
        TryRead(lab) ?? throw new PolluxException($"lab '{lab}' is not up", "pollux lab up --hosts 2");

    internal void Write(LabName lab) => File.WriteAllText(lab.PlanFile, JsonSerializer.Serialize(this, PlanJson.Default.PlanFile));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(PlanFile))]
internal sealed partial class PlanJson : JsonSerializerContext;
