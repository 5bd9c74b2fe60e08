using System.Globalization;
using System.Text;
using Pollux.Lab.Demo;

namespace Pollux.Cli.Demo;

/// <summary>
/// A fault as a picture of characters: time to the right, a lane for the client's replies and one for each host. Pure; the lines are
/// in Spectre's markup.
/// </summary>
internal sealed class TimelinePicture
{
    private const int LabelWidth = 8;
    private const double LeftShare = 0.2;
    private const double RightShare = 0.25;
    private const double LeastMs = 40;
    private readonly DemoTimeline _timeline;
    private readonly int _columns;
    private readonly double _fromMs;
    private readonly double _msPerColumn;

    private TimelinePicture(DemoTimeline timeline, int width)
    {
        _timeline = timeline;
        _columns = Math.Max(20, width - LabelWidth);
        var outage = Math.Max(timeline.FirstAnswer, LeastMs);
        _msPerColumn = outage * (1 + LeftShare + RightShare) / _columns;
        _fromMs = -outage * LeftShare;
    }

    internal static IReadOnlyList<string> Draw(DemoTimeline timeline, int width)
    {
        var picture = new TimelinePicture(timeline, width);
        return [picture.Axis(), picture.ClientLane(), picture.VictimLane(), picture.SurvivorLane()];
    }

    /// <summary>Marks at round numbers of milliseconds, about ten of them.</summary>
    private string Axis()
    {
        var step = new[] { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 }.FirstOrDefault(s => s >= _columns * _msPerColumn / 8, 20000);
        var line = new StringBuilder(new string(' ', _columns));
        for (var ms = Math.Ceiling(_fromMs / step) * step; ColumnOf(ms) < _columns; ms += step)
        {
            var mark = ms == 0 ? "0 ms" : ms.ToString(CultureInfo.InvariantCulture);
            var at = ColumnOf(ms);
            if (at + mark.Length <= _columns)
            {
                line.Remove(at, mark.Length).Insert(at, mark);
            }
        }
        return $"{Label("")}[grey]{line.ToString().TrimEnd()}[/]";
    }

    /// <summary>How many replies came in each column's time.</summary>
    private string ClientLane()
    {
        var counts = new int[_columns];
        foreach (var column in _timeline.Replies.Select(ColumnOf).Where(c => c >= 0 && c < _columns))
        {
            counts[column]++;
        }
        var most = Math.Max(1, counts.Max());
        const string bars = "▁▂▃▄▅▆▇█";
        var lane = string.Concat(counts.Select(c => c == 0 ? '·' : bars[Math.Max(0, c * bars.Length / most - 1)]));
        return $"{Label("replies")}[aqua]{lane}[/]";
    }

    private string VictimLane() => Label(_timeline.Victim.Value) + Lane(
        column => column < ColumnOf(0) ? ('█', "green") : column == ColumnOf(0) ? ('✖', "red") : (' ', "grey"),
        ColumnOf(0) + 2, _timeline.Fault);

    private string SurvivorLane()
    {
        if (_timeline.Decided is not { } decided || _timeline.Open is not { } open)
        {
            return Label(_timeline.Survivor.Value) + "[grey]nobody took over[/]";
        }
        return Label(_timeline.Survivor.Value) + Lane(column =>
            column < ColumnOf(0) ? ('░', "grey")
            : column < ColumnOf(decided) ? ('▒', "yellow")
            : column < Math.Max(ColumnOf(open), ColumnOf(decided) + 1) ? ('▓', "orange1")
            : ('█', "green"));
    }

    /// <summary>A character and colour for each column, with words written over it.</summary>
    private string Lane(Func<int, (char Character, string Colour)> at, int wordsAt = 0, string words = "")
    {
        var line = new StringBuilder();
        string? colour = null;
        for (var column = 0; column < _columns; column++)
        {
            var cell = column >= wordsAt && column < wordsAt + words.Length ? (words[column - wordsAt], "red") : at(column);
            if (cell.Item2 != colour)
            {
                line.Append(colour is null ? "" : "[/]").Append(CultureInfo.InvariantCulture, $"[{cell.Item2}]");
                colour = cell.Item2;
            }
            line.Append(cell.Item1);
        }
        return line.Append("[/]").ToString();
    }

    private int ColumnOf(double ms) => (int)Math.Clamp(Math.Floor((ms - _fromMs) / _msPerColumn), -1, _columns);

    private static string Label(string text) => $"[bold]{text.PadRight(LabelWidth)}[/]";
}
