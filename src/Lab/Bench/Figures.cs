using System.Globalization;

namespace Pollux.Lab.Bench;

/// <summary>Numbers for people.</summary>
public static class Figures
{
    /// <summary>Two decimals below ten, one below a hundred, none above.</summary>
    public static string N(double value) => value.ToString(Math.Abs(value) switch { >= 100 => "#,0", >= 10 => "0.#", _ => "0.##" }, CultureInfo.InvariantCulture);
}
