using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Plots;

/// <summary>A bar, and up to where its whisker goes (a percentile, or the largest).</summary>
public sealed record Bar(double Value, double? Whisker = null);

/// <summary>Bars of one colour.</summary>
/// <param name="Colour">Which of <see cref="Svg.Colours"/>: the same thing has the same one in every chart.</param>
public sealed record BarSeries(string Name, int Colour);

/// <summary>Groups of bars side by side, one colour for each series. A bar that is missing leaves its room empty.</summary>
/// <param name="Subtitle">What bar and whisker are.</param>
/// <param name="Bars">By group, then by series; null: not measured.</param>
public sealed record BarChart(
    string Title, string Subtitle, Axis Axis, IReadOnlyList<string> Groups, IReadOnlyList<BarSeries> Series, IReadOnlyList<IReadOnlyList<Bar?>> Bars)
{
    private const double Left = 70;
    private const double Right = 20;
    private const double Top = 58;
    private const double PlotHeight = 300;
    private const double BarWidth = 15;
    private const double GroupGap = 26;
    private const double LegendRow = 18;
    private const double LegendColumn = 235;
    private const double LeastWidth = 640;

    public string ToSvg()
    {
        var plotWidth = Math.Max(LeastWidth - Left - Right, Groups.Count * ((Series.Count * BarWidth) + GroupGap));
        var groupWidth = plotWidth / Math.Max(1, Groups.Count);
        var columns = (int)((Left + plotWidth) / LegendColumn);
        var svg = new Svg(Left + plotWidth + Right, Top + PlotHeight + 46 + ((Series.Count + columns - 1) / columns * LegendRow));
        svg.Text(Left, 22, Title, 15, bold: true);
        svg.Text(Left, 40, Subtitle);
        DrawAxis(svg, plotWidth);
        for (var group = 0; group < Groups.Count; group++)
        {
            DrawGroup(svg, group, Left + (group * groupWidth), groupWidth);
        }
        for (var series = 0; series < Series.Count; series++)
        {
            var (x, y) = (Left + (series % columns * LegendColumn), Top + PlotHeight + 42 + (series / columns * LegendRow));
            svg.Box(x, y - 10, 12, 12, ColourOf(series));
            svg.Text(x + 18, y, Series[series].Name);
        }
        return svg.ToString();
    }

    private void DrawAxis(Svg svg, double plotWidth)
    {
        foreach (var tick in Axis.Ticks())
        {
            var y = Y(tick);
            svg.Line(Left, y, Left + plotWidth, y, "#dddddd");
            svg.Text(Left - 6, y + 4, N(tick), anchor: "end");
        }
        svg.Line(Left, Top, Left, Top + PlotHeight, "#222222");
        svg.Line(Left, Top + PlotHeight, Left + plotWidth, Top + PlotHeight, "#222222");
        svg.Text(18, Top + (PlotHeight / 2), Axis.Title, 12, "middle", turned: true);
    }

    private void DrawGroup(Svg svg, int group, double left, double width)
    {
        svg.Text(left + (width / 2), Top + PlotHeight + 18, Groups[group], anchor: "middle");
        var first = left + ((width - (Series.Count * BarWidth)) / 2);
        for (var series = 0; series < Series.Count; series++)
        {
            if (Bars[group][series] is { } bar)
            {
                Draw(svg, bar, first + (series * BarWidth), ColourOf(series));
            }
        }
    }

    private void Draw(Svg svg, Bar bar, double x, string colour)
    {
        var y = Y(bar.Value);
        svg.Box(x + 1, y, BarWidth - 2, Top + PlotHeight - y, colour);
        if (bar.Whisker is { } whisker && whisker > bar.Value)
        {
            var (middle, end) = (x + (BarWidth / 2), Y(whisker));
            svg.Line(middle, y, middle, end, "#222222");
            svg.Line(middle - 4, end, middle + 4, end, "#222222");
        }
    }

    private string ColourOf(int series) => Svg.Colours[Series[series].Colour % Svg.Colours.Count];

    private double Y(double value) => Top + (PlotHeight * (1 - Axis.ShareOf(value)));
}
