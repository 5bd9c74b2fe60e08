using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pollux.Core;

/// <summary>A host of the cluster, by the name its certificate carries: 1–32 of <c>a-z 0-9 -</c>, starting with a letter.</summary>
[JsonConverter(typeof(NameConverter<HostId>))]
public readonly record struct HostId(string Value) : IName<HostId>
{
    public static HostId Create(string value) => new(NameRules.Check(value, "host name", 32));
    public override string ToString() => Value;
}

/// <summary>A virtual machine, unique in the cluster: 1–40 of <c>a-z 0-9 -</c>, starting with a letter.</summary>
/// <remarks>40 because the name appears in Unix socket paths, of which Linux takes 107 bytes.</remarks>
[JsonConverter(typeof(NameConverter<VmName>))]
public readonly record struct VmName(string Value) : IName<VmName>
{
    public static VmName Create(string value) => new(NameRules.Check(value, "VM name", 40));
    public override string ToString() => Value;
}

/// <summary>One life of a keeper process: random at each start, so that a restarted keeper is nobody until it is synced again.</summary>
[JsonConverter(typeof(NameConverter<Incarnation>))]
public readonly record struct Incarnation(string Value) : IName<Incarnation>
{
    public static Incarnation Create(string value) => new(value);
    public static Incarnation New() => new(Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(8)));
    public override string ToString() => Value;
}

/// <summary>A number of a checkpoint; epoch n is the guest's run between the checkpoints n-1 and n.</summary>
public readonly record struct Epoch(long Value) : IComparable<Epoch>
{
    /// <summary>Nothing is committed yet.</summary>
    public static readonly Epoch None = new(-1);
    public Epoch Next => new(Value + 1);
    public int CompareTo(Epoch other) => Value.CompareTo(other.Value);
    public static bool operator <(Epoch a, Epoch b) => a.Value < b.Value;
    public static bool operator >(Epoch a, Epoch b) => a.Value > b.Value;
    public static bool operator <=(Epoch a, Epoch b) => a.Value <= b.Value;
    public static bool operator >=(Epoch a, Epoch b) => a.Value >= b.Value;
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>A name that travels as a plain JSON string.</summary>
public interface IName<TSelf> where TSelf : struct, IName<TSelf>
{
    string Value { get; }
    static abstract TSelf Create(string value);
}

internal static class NameRules
{
    internal static string Check(string value, string what, int maxLength)
    {
        var fits = value.Length is > 0 && value.Length <= maxLength && value[0] is >= 'a' and <= 'z'
            && value.All(c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '-');
        return fits
            ? value
            : throw new PolluxException(
                $"'{value}' is not a {what}",
                $"use 1 to {maxLength} of a-z, 0-9 and '-', starting with a letter");
    }
}

/// <summary>Reads and writes a name as a plain string.</summary>
public sealed class NameConverter<T> : JsonConverter<T> where T : struct, IName<T>
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        T.Create(reader.GetString() ?? "");

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Value);
}
