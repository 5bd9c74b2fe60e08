using System.Globalization;
using System.Text;

namespace Pollux.Agent.Metrics;

/// <summary>
/// Writes Prometheus' text exposition format 0.0.4. A family's samples stand together behind its HELP and TYPE; a family without a sample is left
/// out. Source: prometheus.io/docs/instrumenting/exposition_formats.
/// </summary>
internal sealed class Exposition
{
    internal const string ContentType = "text/plain; version=0.0.4; charset=utf-8";
    private readonly StringBuilder _text = new();

    public override string ToString() => _text.ToString();

    /// <summary>Something that goes up and down.</summary>
    public void Gauge(string name, string help, IEnumerable<Sample> samples) => Family(name, "gauge", help, samples);

    /// <summary>Something that only grows, until what counts it starts anew. Its name ends with <c>_total</c>.</summary>
    public void Counter(string name, string help, IEnumerable<Sample> samples) => Family(name, "counter", help, samples);

    /// <param name="name">With its unit at the end, without suffix.</param>
    public void Histogram(string name, string help, IEnumerable<HistogramSample> samples) => Family(name, "histogram", help, samples.SelectMany(s => Parts(name, s)));

    private static IEnumerable<Sample> Parts(string name, HistogramSample sample)
    {
        var count = 0L;
        for (var i = 0; i < sample.Counts.Count; i++)
        {
            count += sample.Counts[i];
            var upTo = i < sample.Upper.Count ? Number(sample.Upper[i]) : "+Inf";
            yield return new Sample(count, [.. sample.Labels, ("le", upTo)]) { Name = name + "_bucket" };
        }
        yield return new Sample(sample.Sum, sample.Labels) { Name = name + "_sum" };
        yield return new Sample(count, sample.Labels) { Name = name + "_count" };
    }

    private void Family(string name, string type, string help, IEnumerable<Sample> samples)
    {
        var begun = false;
        foreach (var sample in samples)
        {
            if (!begun)
            {
                _text.Append("# HELP ").Append(name).Append(' ').Append(Escaped(help, quotes: false)).Append('\n');
                _text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
                begun = true;
            }
            _text.Append(sample.Name ?? name);
            if (sample.Labels.Length > 0)
            {
                _text.Append('{').AppendJoin(',', sample.Labels.Select(l => $"{l.Name}=\"{Escaped(l.Value, quotes: true)}\"")).Append('}');
            }
            _text.Append(' ').Append(Number(sample.Value)).Append('\n');
        }
    }

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static string Escaped(string text, bool quotes)
    {
        var escaped = text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return quotes ? escaped.Replace("\"", "\\\"", StringComparison.Ordinal) : escaped;
    }
}

/// <summary>One value of a family.</summary>
internal sealed record Sample(double Value, params (string Name, string Value)[] Labels)
{
    /// <summary>A family's part, where it is not called like the family.</summary>
    public string? Name { get; init; }

    public static Sample Of(bool value, params (string Name, string Value)[] labels) => new(value ? 1 : 0, labels);
}

/// <summary>A histogram's counts by bucket, not summed up.</summary>
/// <param name="Upper">Of each bucket but the last, which has none.</param>
internal sealed record HistogramSample(IReadOnlyList<double> Upper, IReadOnlyList<long> Counts, double Sum, params (string Name, string Value)[] Labels);
