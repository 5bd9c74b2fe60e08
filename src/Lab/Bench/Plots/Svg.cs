using System.Globalization;
using System.Net;
using System.Text;

namespace Pollux.Lab.Bench.Plots;

/// <summary>Writes a picture as SVG 1.1: lines, boxes and words, which every browser shows. Coordinates are pixels from the top left.</summary>
public sealed class Svg
{
    /// <summary>Colours that stay apart in print and for most who see few colours (after Okabe and Ito, 2008).</summary>
    public static readonly IReadOnlyList<string> Colours = ["#4d4d4d", "#0072b2", "#56b4e9", "#009e73", "#8a6fb0", "#c3b0d9", "#d55e00", "#e69f00", "#f0d08c", "#cc79a7"];

    private const string Font = "font-family=\"DejaVu Sans, Verdana, sans-serif\"";
    private readonly StringBuilder _body = new();
    private readonly double _width;
    private readonly double _height;

    public Svg(double width, double height)
    {
        (_width, _height) = (width, height);
        Box(0, 0, width, height, "#ffffff");
    }

    public void Line(double x1, double y1, double x2, double y2, string colour, double width = 1) =>
        Add($"<line x1=\"{P(x1)}\" y1=\"{P(y1)}\" x2=\"{P(x2)}\" y2=\"{P(y2)}\" stroke=\"{colour}\" stroke-width=\"{P(width)}\"/>");

    public void Box(double x, double y, double width, double height, string colour) =>
        Add($"<rect x=\"{P(x)}\" y=\"{P(y)}\" width=\"{P(width)}\" height=\"{P(height)}\" fill=\"{colour}\"/>");

    public void Dot(double x, double y, double radius, string colour) => Add($"<circle cx=\"{P(x)}\" cy=\"{P(y)}\" r=\"{P(radius)}\" fill=\"{colour}\"/>");

    public void Path(IEnumerable<(double X, double Y)> points, string colour, double width = 1.5) =>
        Add($"<polyline points=\"{string.Join(' ', points.Select(p => $"{P(p.X)},{P(p.Y)}"))}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{P(width)}\"/>");

    /// <param name="anchor">start, middle or end: what of the words is at x.</param>
    /// <param name="turned">Reads upwards.</param>
    public void Text(double x, double y, string words, double size = 11, string anchor = "start", bool turned = false, bool bold = false) =>
        Add($"<text x=\"{P(x)}\" y=\"{P(y)}\" {Font} font-size=\"{P(size)}\" text-anchor=\"{anchor}\"{(bold ? " font-weight=\"bold\"" : "")} fill=\"#222222\"" +
            $"{(turned ? $" transform=\"rotate(-90 {P(x)} {P(y)})\"" : "")}>{WebUtility.HtmlEncode(words)}</text>");

    public override string ToString() =>
        $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{P(_width)}\" height=\"{P(_height)}\" viewBox=\"0 0 {P(_width)} {P(_height)}\">\n{_body}</svg>\n";

    private void Add(string element) => _body.Append(element).Append('\n');

    private static string P(double value) => Math.Round(value, 1).ToString("0.#", CultureInfo.InvariantCulture);
}
