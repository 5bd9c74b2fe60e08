namespace Pollux.Lab.Bench.Plots;

/// <summary>From values to pixels, with ticks at round numbers. Pure.</summary>
/// <param name="Title">What is measured, with its unit.</param>
/// <param name="IsLog">Each power of ten takes the same room; the least must be above zero.</param>
public sealed record Axis(string Title, double Least, double Most, bool IsLog)
{
    private const int TicksMost = 6;

    /// <summary>From zero to the next round number.</summary>
    public static Axis Linear(string title, IEnumerable<double> values)
    {
        var most = values.Where(v => v > 0).DefaultIfEmpty(1).Max();
        var step = StepFor(most);
        return new Axis(title, 0, Math.Max(step, Math.Ceiling((most / step) - 1e-9) * step), IsLog: false);
    }

    /// <summary>From a power of ten to a power of ten. Values that are not above zero cannot be shown and do not count.</summary>
    public static Axis Log(string title, IEnumerable<double> values)
    {
        var shown = values.Where(v => v > 0).DefaultIfEmpty(1).ToList();
        var least = Math.Floor(Math.Log10(shown.Min()) + 1e-9);
        return new Axis(title, Math.Pow(10, least), Math.Pow(10, Math.Max(least + 1, Math.Ceiling(Math.Log10(shown.Max()) - 1e-9))), IsLog: true);
    }

    /// <summary>Where a value lies between the ends, 0 to 1; values beyond them lie on them.</summary>
    public double ShareOf(double value)
    {
        var share = IsLog
            ? value <= 0 ? 0 : (Math.Log10(value) - Math.Log10(Least)) / (Math.Log10(Most) - Math.Log10(Least))
            : (value - Least) / (Most - Least);
        return Math.Clamp(share, 0, 1);
    }

    public IReadOnlyList<double> Ticks()
    {
        var ticks = new List<double>();
        var step = IsLog ? 0 : StepFor(Most - Least);
        for (var tick = Least; tick <= Most * 1.0001; tick = IsLog ? tick * 10 : Least + (ticks.Count * step))
        {
            ticks.Add(tick);
        }
        return ticks;
    }

    /// <summary>1, 2 or 5 times a power of ten.</summary>
    private static double StepFor(double range)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(range / TicksMost)));
        return power * ((double[])[1, 2, 5, 10]).First(m => range / (m * power) <= TicksMost + 1e-9);
    }
}
