using System.Xml.Linq;
using Pollux.Lab.Bench.Plots;

namespace Pollux.Unit.Tests.Lab.Bench;

public sealed class ChartTests
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    [Fact]
    public void BarChart_ShowsTitleUnitGroupsAndLegend()
    {
        var words = Words(XDocument.Parse(Bars().ToSvg()));

        Assert.Superset(new HashSet<string> { "Pauses < 5 & more", "bar: median", "ms", "idle", "Redis", "periodic", "COLO" }, words.ToHashSet());
    }

    [Fact]
    public void BarChart_OfAMissingBar_LeavesItOut()
    {
        var drawing = XDocument.Parse(Bars().ToSvg());

        // The ground, three bars of four, two squares of the legend.
        Assert.Equal(1 + 3 + 2, drawing.Descendants(Svg + "rect").Count());
    }

    [Fact]
    public void BarChart_OfALargerValue_DrawsAHigherBar()
    {
        var heights = XDocument.Parse(Bars().ToSvg()).Descendants(Svg + "rect").Skip(1).Take(3).Select(r => (double)r.Attribute("height")!).ToList();

        Assert.True(heights[0] < heights[1] && heights[1] < heights[2]);
    }

    [Fact]
    public void Charts_DrawNothingOutsideOfThePicture()
    {
        var lines = new LineChart("t", "s", Axis.Linear("seconds", [10]), [new LinePanel(Axis.Log("ms", [0, 3, 40]), [new LineSeries("one", [(0, 0), (5, 3), (10, 40)])])], WithDots: true);
        foreach (var drawing in new[] { XDocument.Parse(Bars().ToSvg()), XDocument.Parse(lines.ToSvg()) })
        {
            var (width, height) = ((double)drawing.Root!.Attribute("width")!, (double)drawing.Root.Attribute("height")!);
            foreach (var line in drawing.Descendants(Svg + "line"))
            {
                Assert.All(new[] { "x1", "x2" }, a => Assert.InRange((double)line.Attribute(a)!, 0, width));
                Assert.All(new[] { "y1", "y2" }, a => Assert.InRange((double)line.Attribute(a)!, 0, height));
            }
        }
    }

    private static BarChart Bars() => new(
        "Pauses < 5 & more", "bar: median", Axis.Log("ms", [1, 90]), ["idle", "Redis"], [new BarSeries("periodic", 1), new BarSeries("COLO", 2)], [[new Bar(2, 9), new Bar(8)], [null, new Bar(90)]]);

    private static IEnumerable<string> Words(XDocument drawing) => drawing.Descendants(Svg + "text").Select(t => t.Value);
}
