using System.Text.Json;
using System.Text.Json.Serialization;
using Pollux.Migration;

namespace Pollux.Lab.Bench.Migration;

/// <summary>What <c>pollux bench migration --json</c> writes: an array of runs.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, WriteIndented = true)]
[JsonSerializable(typeof(List<MigrationRun>))]
public sealed partial class MigrationRunsJson : JsonSerializerContext;
