using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Pollux.Unit.Tests.Agent.Metrics;

/// <summary>A family as it was read.</summary>
internal sealed record MetricFamily(string Name, string Type, string Help, IReadOnlyList<ReadSample> Samples);

internal sealed record ReadSample(string Name, IReadOnlyList<KeyValuePair<string, string>> Labels, double Value);

/// <summary>
/// Reads Prometheus' text format 0.0.4 more strictly than Prometheus does: HELP, TYPE and samples of a family stand together and in this order,
/// nothing is said twice, counters end with _total, histograms are whole. Throws <see cref="FormatException"/> with the line.
/// </summary>
internal static partial class ExpositionReader
{
    internal static IReadOnlyList<MetricFamily> Read(string text)
    {
        Require(text.Length == 0 || text.EndsWith('\n'), "the last line has no end");
        Require(!text.Contains('\r', StringComparison.Ordinal), "a line ends with a carriage return");
        var families = new List<MetricFamily>();
        var lines = text.Split('\n')[..^1];
        for (var at = 0; at < lines.Length;)
        {
            var help = Help().Match(lines[at]);
            Require(help.Success, $"HELP is expected: {lines[at]}");
            var name = help.Groups[1].Value;
            var type = Type().Match(++at < lines.Length ? lines[at] : "");
            Require(type.Success && type.Groups[1].Value == name, $"the TYPE of {name} is expected");
            at++;
            var samples = new List<ReadSample>();
            while (at < lines.Length && !lines[at].StartsWith('#'))
            {
                samples.Add(Sample(lines[at++]));
            }
            var family = new MetricFamily(name, type.Groups[2].Value, help.Groups[2].Value, samples);
            Check(family);
            Require(families.All(f => f.Name != name), $"{name} comes twice");
            families.Add(family);
        }
        return families;
    }

    private static ReadSample Sample(string line)
    {
        var match = SampleLine().Match(line);
        Require(match.Success, $"no sample: {line}");
        var labels = new List<KeyValuePair<string, string>>();
        var rest = match.Groups[2].Success ? match.Groups[2].Value : "";
        while (rest.Length > 0)
        {
            var label = Label().Match(rest);
            Require(label.Success, $"no label: {rest}");
            labels.Add(new(label.Groups[1].Value, Unescaped(label.Groups[2].Value)));
            rest = rest[label.Length..];
        }
        Require(labels.Select(l => l.Key).Distinct().Count() == labels.Count, $"a label comes twice: {line}");
        return new ReadSample(match.Groups[1].Value, labels, Number(match.Groups[3].Value));
    }

    private static void Check(MetricFamily family)
    {
        Require(family.Samples.Count > 0, $"{family.Name} has no sample");
        Require(family.Help.Length > 0, $"{family.Name} has no help");
        Require(family.Type is "gauge" or "counter" or "histogram", $"{family.Name} is a {family.Type}");
        Require(family.Type == "counter" == family.Name.EndsWith("_total", StringComparison.Ordinal), $"{family.Name} is a {family.Type}");
        var series = family.Samples.Select(s => s.Name + string.Join(',', s.Labels)).ToList();
        Require(series.Distinct().Count() == series.Count, $"a series of {family.Name} comes twice");
        Require(family.Type != "counter" || family.Samples.All(s => s.Value >= 0), $"{family.Name} counts backwards");
        if (family.Type == "histogram")
        {
            CheckHistogram(family);
        }
        else
        {
            Require(family.Samples.All(s => s.Name == family.Name), $"another's sample stands below {family.Name}");
        }
    }

    private static void CheckHistogram(MetricFamily family)
    {
        foreach (var group in family.Samples.GroupBy(s => string.Join(',', s.Labels.Where(l => l.Key != "le"))))
        {
            var buckets = group.Where(s => s.Name == family.Name + "_bucket").ToList();
            var bounds = buckets.Select(b => Number(b.Labels.Single(l => l.Key == "le").Value)).ToList();
            Require(bounds.Count > 1 && double.IsPositiveInfinity(bounds[^1]), $"{family.Name} has no bucket for all");
            Require(bounds.Order().SequenceEqual(bounds) && bounds.Distinct().Count() == bounds.Count, $"the buckets of {family.Name} are not in order");
            Require(buckets.Select(b => b.Value).Order().SequenceEqual(buckets.Select(b => b.Value)), $"the buckets of {family.Name} are not summed up");
            Require(group.Single(s => s.Name == family.Name + "_count").Value == buckets[^1].Value, $"{family.Name} counts otherwise than its buckets");
            _ = group.Single(s => s.Name == family.Name + "_sum");
            Require(group.Count() == buckets.Count + 2, $"another's sample stands below {family.Name}");
        }
    }

    private static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        "NaN" => double.NaN,
        _ => double.Parse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture),
    };

    private static string Unescaped(string value)
    {
        var text = new StringBuilder();
        for (var i = 0; i < value.Length; i++)
        {
            text.Append(value[i] != '\\' ? value[i] : value[++i] switch { 'n' => '\n', '\\' => '\\', '"' => '"', _ => throw new FormatException($"unknown escape: {value}") });
        }
        return text.ToString();
    }

    private static void Require(bool holds, string complaint)
    {
        if (!holds)
        {
            throw new FormatException(complaint);
        }
    }

    [GeneratedRegex("""^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\[n\\])*)$""")]
    private static partial Regex Help();

    [GeneratedRegex("""^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) ([a-z]+)$""")]
    private static partial Regex Type();

    [GeneratedRegex("""^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*",?)+)\})? ([^ ]+)$""")]
    private static partial Regex SampleLine();

    [GeneratedRegex("""^(?!__)([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,(?=.)|$)""")]
    private static partial Regex Label();
}
