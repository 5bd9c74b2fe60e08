using static Pollux.Lab.Bench.Figures;

namespace Pollux.Lab.Bench.Plots;

/// <summary>A line with its name.</summary>
public sealed record LineSeries(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>Lines over one vertical axis.</summary>
public sealed record LinePanel(Axis Axis, IReadOnlyList<LineSeries> Lines);

/// <summary>Panels one above the other over the same horizontal axis.</summary>
/// <param name="WithDots">Each point is marked: few were measured, and what is between them was not.</param>
public sealed record LineChart(string Title, string Subtitle, Axis Horizontal, IReadOnlyList<LinePanel> Panels, double PanelHeight = 150, bool WithDots = false)
{
    private const double Left = 80;
    private const double PlotWidth = 640;
    private const double Legend = 230;
    private const double Top = 58;
    private const double Gap = 24;
    private const double Bottom = 44;
    private const int FirstColour = 1;

    public string ToSvg()
    {
        var svg = new Svg(Left + PlotWidth + Legend, Top + (Panels.Count * (PanelHeight + Gap)) - Gap + Bottom);
        svg.Text(Left, 22, Title, 15, bold: true);
        svg.Text(Left, 40, Subtitle);
        var colour = FirstColour;
        for (var n = 0; n < Panels.Count; n++)
        {
            var top = Top + (n * (PanelHeight + Gap));
            DrawAxes(svg, Panels[n].Axis, top, isLast: n == Panels.Count - 1);
            for (var line = 0; line < Panels[n].Lines.Count; line++)
            {
                Draw(svg, Panels[n], line, top, Svg.Colours[colour++ % Svg.Colours.Count]);
            }
        }
        return svg.ToString();
    }

    private void DrawAxes(Svg svg, Axis vertical, double top, bool isLast)
    {
        var bottom = top + PanelHeight;
        foreach (var tick in vertical.Ticks())
        {
            var y = Y(vertical, tick, top);
            svg.Line(Left, y, Left + PlotWidth, y, "#dddddd");
            svg.Text(Left - 6, y + 4, N(tick), anchor: "end");
        }
        foreach (var tick in Horizontal.Ticks())
        {
            svg.Line(X(tick), top, X(tick), bottom, "#eeeeee");
            if (isLast)
            {
                svg.Text(X(tick), bottom + 16, N(tick), anchor: "middle");
            }
        }
        svg.Line(Left, top, Left, bottom, "#222222");
        svg.Line(Left, bottom, Left + PlotWidth, bottom, "#222222");
        svg.Text(20, top + (PanelHeight / 2), vertical.Title, 11, "middle", turned: true);
        if (isLast)
        {
            svg.Text(Left + (PlotWidth / 2), bottom + 34, Horizontal.Title, 12, "middle");
        }
    }

    private void Draw(Svg svg, LinePanel panel, int line, double top, string colour)
    {
        var points = panel.Lines[line].Points.Select(p => (X: X(p.X), Y: Y(panel.Axis, p.Y, top))).ToList();
        svg.Path(points, colour);
        if (WithDots)
        {
            points.ForEach(p => svg.Dot(p.X, p.Y, 3, colour));
        }
        var y = top + 14 + (line * 18);
        svg.Line(Left + PlotWidth + 12, y - 4, Left + PlotWidth + 30, y - 4, colour, 3);
        svg.Text(Left + PlotWidth + 36, y, panel.Lines[line].Name);
    }

    private double X(double value) => Left + (PlotWidth * Horizontal.ShareOf(value));

    private double Y(Axis axis, double value, double top) => top + (PanelHeight * (1 - axis.ShareOf(value)));
}
