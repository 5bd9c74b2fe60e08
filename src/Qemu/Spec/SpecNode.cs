using System.Globalization;
using Pollux.Core;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Pollux.Qemu.Spec;

/// <summary>A mapping in a spec's YAML, which knows where it stands, for errors.</summary>
internal sealed class SpecNode
{
    private readonly YamlMappingNode _map;
    private readonly string _source;

    private SpecNode(YamlMappingNode map, string source) => (_map, _source) = (map, source);

    public static SpecNode Parse(string yaml, string source)
    {
        try
        {
            var stream = new YamlStream();
            stream.Load(new StringReader(yaml));
            return stream.Documents switch
            {
                [var one] when one.RootNode is YamlMappingNode map => new SpecNode(map, source),
                [] => throw new PolluxException($"{source} is empty", "see examples/redis.yaml"),
                [var one] => throw ErrorAt(source, one.RootNode.Start, "a spec is a list of 'member: value' lines", "see examples/redis.yaml"),
                _ => throw ErrorAt(source, stream.Documents[1].RootNode.Start, "there is a second document", "one file holds one VM"),
            };
        }
        catch (YamlException e)
        {
            throw ErrorAt(source, e.Start, $"this is no YAML: {e.Message}", "see examples/redis.yaml");
        }
    }

    /// <summary>Refuses a member that one might well expect.</summary>
    public void Refuse(string member, string problem, string nextStep)
    {
        if (_map.Children.Keys.FirstOrDefault(k => k is YamlScalarNode { Value: { } name } && name == member) is { } key)
        {
            throw ErrorAt(_source, key.Start, problem, nextStep);
        }
    }

    /// <summary>Refuses members that nobody would read.</summary>
    public void AllowOnly(params string[] members)
    {
        foreach (var key in _map.Children.Keys)
        {
            if (key is not YamlScalarNode { Value: { } name } || !members.Contains(name))
            {
                var near = key is YamlScalarNode { Value: { } typed } ? members.MinBy(m => Distance(m, typed)) : null;
                throw ErrorAt(_source, key.Start, $"'{key}' is no member here",
                    near is not null && Distance(near, key.ToString()) <= 3 ? $"did you mean '{near}'?" : $"the members are {string.Join(", ", members)}");
            }
        }
    }

    public string? Text(string member) => Find(member) switch
    {
        null => null,
        YamlScalarNode { Value: { } value } => value,
        _ => throw ErrorAt(member, $"{member} has parts", "give it one value"),
    };

    public long Number(string member, long absent, long least, long most)
    {
        if (Text(member) is not { } text)
        {
            return absent;
        }
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw ErrorAt(member, $"{member} is '{text}'", $"choose a number from {least} to {most}");
    }

    public SpecNode? Map(string member) => Find(member) switch
    {
        null => null,
        YamlMappingNode map => new SpecNode(map, _source),
        _ => throw ErrorAt(member, $"{member} has no members", $"write its members below it, indented"),
    };

    public IReadOnlyList<SpecNode> List(string member) => Find(member) switch
    {
        null => [],
        YamlSequenceNode sequence => [.. sequence.Select(n => n is YamlMappingNode map
            ? new SpecNode(map, _source)
            : throw ErrorAt(_source, n.Start, $"'{n}' is no member of {member}", "write '- bridge: br0'"))],
        _ => throw ErrorAt(member, $"{member} is no list", "begin each of its lines with '- '"),
    };

    public PolluxException Error(string problem, string? fix) => ErrorAt(_source, _map.Start, problem, fix);

    public PolluxException ErrorAt(string member, string problem, string? fix) => ErrorAt(_source, Find(member)?.Start ?? _map.Start, problem, fix);

    private static PolluxException ErrorAt(string source, Mark at, string problem, string? fix) => new($"{source}:{at.Line}: {problem}", fix);

    private YamlNode? Find(string member) => _map.Children.TryGetValue(new YamlScalarNode(member), out var node) ? node : null;

    /// <summary>Levenshtein's.</summary>
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var above = row[j];
                row[j] = Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + (char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1));
                diagonal = above;
            }
        }
        return row[b.Length];
    }
}
