using System.Text.RegularExpressions;
using Pollux.Cluster.Events;

namespace Pollux.Unit.Tests.Cluster.Events;

public sealed partial class EventKindsTests
{
    [Fact]
    public void All_AreExplained_AndNothingElse()
    {
        var section = Document.Read("operation.md").Split("## Events")[1].Split("\n## ")[0];
        var explained = section.Split('\n').Where(l => l.StartsWith("| `", StringComparison.Ordinal))
            .SelectMany(l => Kind().Matches(l.Split('|')[1]).Select(m => m.Groups[1].Value));

        Assert.Equal(EventKinds.All.Order(), explained.Order());
    }

    [GeneratedRegex("`([a-z-]+)`")]
    private static partial Regex Kind();
}
